"""Files of JSON lines: one object a line, as tests and trainings write their figures."""

from __future__ import annotations

import json
from math import isfinite
from typing import TYPE_CHECKING, Any

from speckflex._support.text import first_line
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
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise FileFormatError(f"{path}: can't be read ({first_line(error)}): {REMEDY}") from error
    # not splitlines, since a text in JSON may hold U+2028 as it is
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise FileFormatError(f"{path}: holds no line: {REMEDY}")
    return [_object(path, number, line) for number, line in lines]


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        found = json.loads(
            line, parse_constant=lambda _name: None, parse_float=_finite, parse_int=_whole
        )
    except (ValueError, RecursionError) as error:
        raise FileFormatError(
            f"{path}: line {number} is no JSON ({first_line(error)}): {REMEDY}"
        ) from error
    if not isinstance(found, dict):
        raise FileFormatError(
            f"{path}: line {number} holds {type(found).__name__}, no object: {REMEDY}"
        )
    return found


def _finite(digits: str) -> float | None:
    value = float(digits)
    return value if isfinite(value) else None


def _whole(digits: str) -> int | None:
    return int(digits) if _finite(digits) is not None else None
