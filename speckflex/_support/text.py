"""Texts from elsewhere: messages and names in one line, and the words of a command line."""

from __future__ import annotations

import re
import shlex

from speckflex.errors import printable

__all__ = [
    "cell",
    "command_words",
    "first_line",
    "microseconds_of",
    "one_line",
    "printable",
    "shown",
    "shown_name",
]

LONGEST_REASON = 160
LONGEST_NAME = 120
LONGEST_KEPT_NAME = 2000
# What a spreadsheet would take for a formula, at the beginning of a cell.
FORMULA = ("=", "+", "-", "@")


def first_line(error: BaseException) -> str:
    """Return the first line of an error of another package, shortened."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:LONGEST_REASON].rstrip(". :")


def one_line(text: object) -> str:
    """Return a text of another package, such as its error, in one line and whole."""
    return " ".join(str(text).split()) or type(text).__name__


def shown(name: str) -> str:
    """Return a name out of a file as messages show it: in one line, shortened, printable."""
    if len(name) > LONGEST_NAME:
        name = f"{name[:LONGEST_NAME]}.."
    return name if name.isprintable() else ascii(name)


def shown_name(name: object) -> str:
    """Return a name that is kept: all of it, in printable characters.

    Raises:
        TypeError: it is no text, or longer than any name.
    """
    if not isinstance(name, str) or len(name) > LONGEST_KEPT_NAME:
        raise TypeError(
            f"a name of type {type(name).__name__}, or of more than {LONGEST_KEPT_NAME} characters"
        )
    return printable(name)


def cell(value: object) -> object:
    """Return a value for a table of comma-separated values, a text so that it is no formula."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def microseconds_of(text: str) -> int | None:
    """Return the µs that a text such as `0.3s`, `300ms` or `300us` states; None if it states none.

    A time is at least 1 µs, and its unit is part of it.
    """
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(s|ms|us|µs)", text.strip())
    factor = {"s": 1e6, "ms": 1e3}.get(found[2], 1.0) if found else 0.0
    microseconds = round(float(found[1]) * factor) if found else 0
    return microseconds if 1 <= microseconds < 2**62 else None


def command_words(command: str) -> list[str]:
    """Return the words of a command line; none of a text that is no command line."""
    try:
        return shlex.split(command)
    except ValueError:
        return []
