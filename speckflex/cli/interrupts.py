"""Ctrl-C in a command: one line, exit code 130, and no word of the interpreter's own."""

from __future__ import annotations

import _thread
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Interruption", "interrupt_again", "quiet_interrupts"]


class Interruption(click.ClickException):
    """Ctrl-C has ended the work; the line says what of it is kept."""

    exit_code = 130  # 128 and the signal's number, as shells have it


@contextmanager
def quiet_interrupts() -> Iterator[None]:
    """Let no interrupt of this process be lost, nor disturb the interpreter's own clean-up."""
    sys.unraisablehook = interrupt_again
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def interrupt_again(unraisable: Any) -> None:
    """Interrupt once more where an interrupt fell into code that can raise nothing."""
    if unraisable.exc_type is KeyboardInterrupt:
        _thread.interrupt_main()
    else:
        sys.__unraisablehook__(unraisable)
