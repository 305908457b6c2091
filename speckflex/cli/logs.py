"""`--log-level`: what the package logs, on standard error."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LEVELS", "show_logs"]

LEVELS = ("debug", "info", "warning", "error")


class EchoHandler(logging.Handler):
    """Writes each message as a line of standard error, as it is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message."""
        click.echo(self.format(record), err=True)


def show_logs(level: str) -> Callable[[], None]:
    """Show what the package logs from now on; return a function that ends it.

    Args:
        level: the least level that is shown, one of `LEVELS`.
    """
    logger = logging.getLogger("speckflex")
    before = logger.level
    handler = EchoHandler()
    if level in {"debug", "info"}:
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(level.upper())

    def end() -> None:
        logger.removeHandler(handler)
        logger.setLevel(before)

    return end
