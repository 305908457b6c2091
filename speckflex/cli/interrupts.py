"""Ctrl-C in a command: it ends with one line and exit code 130, without a traceback."""

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
    """Ctrl-C has ended the work; the message says which results are kept."""

    exit_code = 130  # 128 plus the number of the signal, as in shells


@contextmanager
def quiet_interrupts() -> Iterator[None]:
    """Make sure that an interrupt ends the process, and never while the interpreter cleans up."""
    interrupted = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        interrupted.set()
        signal.default_int_handler(number, frame)

    # a shell starts a background job with Ctrl-C ignored; this stays so
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    sys.unraisablehook = interrupt_again
    try:
        yield
    except SystemExit as end:
        # a library may turn an interrupt into an error of its own
        if interrupted.is_set() and end.code == click.ClickException.exit_code:
            raise SystemExit(Interruption.exit_code) from end
        raise
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def interrupt_again(unraisable: Any) -> None:
    """Interrupt again if an interrupt hit code that can't raise, such as a destructor."""
    if unraisable.exc_type is KeyboardInterrupt:
        _thread.interrupt_main()
    else:
        sys.__unraisablehook__(unraisable)
