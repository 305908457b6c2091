"""Texts from elsewhere: messages and names in one line, and the words of a command line."""

from __future__ import annotations

import shlex

__all__ = ["command_words", "first_line", "one_line", "printable", "shown"]

LONGEST_REASON = 160


def first_line(error: BaseException) -> str:
    """Return the first line of an error of another package, shortened."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:LONGEST_REASON].rstrip(". :")


def one_line(text: object) -> str:
    """Return a text of another package, such as its error, in one line and whole."""
    return " ".join(str(text).split()) or type(text).__name__


def shown(name: str) -> str:
    """Return a name out of a file as messages show it: in one line, and without control codes."""
    return name if name.isprintable() else ascii(name)


def printable(text: str) -> str:
    """Return a text in one line, with escapes in place of control codes.

    For messages with the names of files, which may hold any character.
    """
    return "".join(mark if mark.isprintable() else ascii(mark)[1:-1] for mark in text)


def command_words(command: str) -> list[str]:
    """Return the words of a command line; none of a text that is no command line."""
    try:
        return shlex.split(command)
    except ValueError:
        return []
