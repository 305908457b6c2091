"""Colour for what is wrong, where the output is a terminal and NO_COLOR is not set."""

from __future__ import annotations

import os
import re
import sys
import textwrap

import click

from speckflex._support.text import printable
from speckflex.cli.tables import line_width

__all__ = ["echo_report", "echo_warning", "emphasised", "wants_colour"]

# What the texts of reports and checks call wrong, and doubtful.
WRONG = re.compile(
    r"^(?:error|missing|missed|Overload|A bar is missed)\b"
    r"|\b(?:overloaded|does not fit|does not keep up|holds the input up|drops while held up)\b"
    r"|\b(?:never spikes?|does not run this file|[1-9]\d* of \d+ judged figures? became worse)\b"
    r"|  worse$"
)
DOUBTFUL = re.compile(r"^warning\b|\bheld up\b")


def wants_colour() -> bool | None:
    """Return False where the user wants no colour; None to leave it to the terminal."""
    return False if os.environ.get("NO_COLOR") else None


def emphasised(line: str) -> str:
    """Return a line with what is wrong in red, and what is doubtful in yellow.

    Names in it may come from files, so that all other characters are printable ones.
    """
    line = WRONG.sub(lambda found: click.style(found[0], fg="red", bold=True), printable(line))
    return DOUBTFUL.sub(lambda found: click.style(found[0], fg="yellow"), line)


def echo_warning(sentence: str) -> None:
    """Print a warning to standard error."""
    click.echo(emphasised(f"warning: {sentence}"), err=True, color=wants_colour())


def echo_report(text: str) -> None:
    """Print a text with emphasis; in a terminal, sentences are broken between words."""
    width = line_width()
    for line in text.splitlines():
        # rows of a table have their columns apart
        is_prose = len(line) > width and "   " not in line
        for part in _wrapped(line, width) if is_prose else [line]:
            click.echo(emphasised(part), color=wants_colour())


def _wrapped(line: str, width: int) -> list[str]:
    if not sys.stdout.isatty():
        return [line]
    return textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)
