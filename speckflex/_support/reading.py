"""Files of others, read where they are files and no larger than they may be."""

from __future__ import annotations

import hashlib
import json
import stat
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speckflex._support.text import first_line

if TYPE_CHECKING:
    from speckflex.errors import SpeckflexError

__all__ = ["check_is_file", "hash_of_file", "parse_json", "read_file"]

LARGEST_TEXT = 2**28  # bytes; a report of 1000 samples has 3 MB
PIECE = 2**20
MOST_DIGITS = 300  # so that each whole number is also a float


def check_is_file(path: str | Path, failure: type[SpeckflexError]) -> None:
    """Check that a path is no pipe, device or socket: a reader might wait forever, or never end.

    Raises:
        SpeckflexError: of the class `failure`. A missing file or a folder is left to the reader.
    """
    try:
        kind = Path(path).stat().st_mode
    except (OSError, ValueError):
        return
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
        raise failure(f"{path}: is a pipe or a device, no file: save its content to a file first")


def read_file(
    path: str | Path, failure: type[SpeckflexError], remedy: str, *, largest: int = LARGEST_TEXT
) -> bytes:
    """Return the content of a file.

    Args:
        path: of the file.
        failure: the class of the errors.
        remedy: what to do about a file that is too large.
        largest: bytes that it may have.

    Raises:
        SpeckflexError: of the class `failure`; it can't be read, is no file, or is larger.
    """
    check_is_file(path, failure)
    try:
        with Path(path).open("rb") as file:
            content = file.read(largest + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise failure(f"{path}: can't be read ({reason}): check the path") from error
    if len(content) > largest:
        raise failure(f"{path}: has more than {largest} bytes: {remedy}")
    return content


def hash_of_file(path: Path) -> str:
    """Return the SHA-256 of a file of any size, as hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def parse_json(content: bytes | str) -> Any:
    """Return the value of a JSON text, UTF-8 if it is bytes; None for a number that has no value.

    Raises:
        ValueError: it is no such text, or too deep.
    """
    try:
        return json.loads(
            content, parse_constant=lambda _: None, parse_float=_finite, parse_int=_whole
        )
    except RecursionError as error:
        raise ValueError("its lists or objects lie too deep in each other") from error
    except ValueError as error:
        raise ValueError(first_line(error)) from error


def _finite(text: str) -> float | None:
    value = float(text)
    return value if isfinite(value) else None


def _whole(text: str) -> int | None:
    return int(text) if len(text) <= MOST_DIGITS else None
