"""Ctrl-C in a command: one line, exit code 130, and no word of the interpreter's own."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["Interruption", "interrupt_again", "quiet_interrupts"]


class Interruption(click.ClickException):
    """Ctrl-C has ended the work; the line says what of it is kept."""

    exit_code = 130  # 128 and the signal's number, as shells have it


@contextmanager
def quiet_interrupts() -> Iterator[None]:
    """Let no interrupt of this process be lost, nor disturb the interpreter's own clean-up."""
    interrupted = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        interrupted.set()
        signal.default_int_handler(number, frame)

    # a shell may have told a job behind it to ignore Ctrl-C
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    sys.unraisablehook = interrupt_again
    try:
        yield
    except SystemExit as end:
        # a library may take an interrupt for a failure of its own
        if interrupted.is_set() and end.code == click.ClickException.exit_code:
            raise SystemExit(Interruption.exit_code) from end
        raise
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def interrupt_again(unraisable: Any) -> None:
    """Interrupt once more where an interrupt fell into code that can raise nothing."""
    if unraisable.exc_type is KeyboardInterrupt:
        _thread.interrupt_main()
    else:
        sys.__unraisablehook__(unraisable)
