"""Files of JSON lines: one object a line, as tests and trainings write their figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from speckflex._support.reading import parse_json, read_file
from speckflex.errors import FileFormatError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_json_lines"]

REMEDY = "give a file that --metrics or --board-metrics wrote"


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Return the object of each line that is not blank; a number that is not finite is None.

    Raises:
        FileFormatError: the file can't be read, a line is no JSON object, or there is no line.
    """
    content = read_file(path, FileFormatError, REMEDY)
    # as bytes, since a text in JSON may hold U+2028 as it is
    lines = [(number, line) for number, line in enumerate(content.split(b"\n"), 1) if line.strip()]
    if not lines:
        raise FileFormatError(f"{path}: holds no line: {REMEDY}")
    return [_object(path, number, line) for number, line in lines]


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        found = parse_json(line)
    except ValueError as error:
        raise FileFormatError(f"{path}: line {number} is no JSON ({error}): {REMEDY}") from error
    if not isinstance(found, dict):
        raise FileFormatError(
            f"{path}: line {number} holds {type(found).__name__}, no object: {REMEDY}"
        )
    return found
