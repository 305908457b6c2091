"""Text files with a line an event: CSV with or without names, and lists of rpg, ESIM and v2e."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from speckflex._support.text import first_line, shown
from speckflex.data.formats._columns import find_fields, read_columns, read_rows
from speckflex.data.formats._file_format import FileFormat
from speckflex.errors import EventsError
from speckflex.events.streams import FIELDS

if TYPE_CHECKING:
    from pathlib import Path

    from speckflex.data.formats._reading import Reading

__all__ = ["TEXT"]

COMMENTS = ("#", "%", "//")
SIDE = re.compile(r"[0-9]{1,9}")
LONGEST_LINE = 4096  # characters: a longer first line is no list of events
MOST_COMMENTS = 10_000


class Head(NamedTuple):
    """What the lines before the events say.

    Attributes:
        n_lines: how many lines are before the events.
        names: of the columns; none where no line has them.
        delimiter: between the columns; None for spaces.
        size: (y, x) pixels, where a line states them.
    """

    n_lines: int
    names: list[str]
    delimiter: str | None
    size: tuple[int, int] | None


def read_head(path: Path) -> Head:
    """Return what the lines before the events say.

    Comments are read past. A line of two whole numbers is the width and the height of the
    sensor, as in the recordings of E2VID. A line with a letter in each of its parts has the names
    of the columns.

    Raises:
        EventsError: the file can't be read or holds no line of numbers.
    """
    names: list[str] = []
    size = None
    try:
        with path.open(encoding="utf-8", errors="surrogateescape") as file:
            for number in range(MOST_COMMENTS):
                line = file.readline(LONGEST_LINE)
                if not line:
                    raise EventsError(f"{path}: holds no events: record again")
                text = line.strip().lstrip("\ufeff")
                if not text or text.startswith(COMMENTS):
                    continue
                delimiter = next((mark for mark in ",;\t" if mark in text), None)
                parts = [part.strip().strip("\"'") for part in text.split(delimiter)]
                if len(parts) == 2 and all(map(SIDE.fullmatch, parts)) and not names:
                    size = (int(parts[1]), int(parts[0]))
                elif all(re.match(r"[A-Za-z_]", part) for part in parts) and not names:
                    names, stated = _names(parts)
                    size = stated or size
                elif delimiter == "\t":
                    return Head(number, names, None, size)
                else:
                    return Head(number, names, delimiter, size)
    except OSError as error:
        raise EventsError(f"{path}: can't be read ({error.strerror}): check the path") from error
    raise EventsError(f"{path}: its first {MOST_COMMENTS} lines hold no event: cut them off")


def _names(parts: list[str]) -> tuple[list[str], tuple[int, int] | None]:
    """Return names without the sizes that faery puts behind x and y, as in x@640, and the size."""
    names = [part.partition("@")[0] for part in parts]
    sizes = {part.partition("@")[0]: part.partition("@")[2] for part in parts}
    stated = [sizes.get(name, "") for name in "yx"]
    if all(map(SIDE.fullmatch, stated)):
        return names, (int(stated[0]), int(stated[1]))
    return names, None


def _read(path: Path, *, reading: Reading) -> np.ndarray:
    head = read_head(path)
    rows = _read_rows(path, head)
    # rpg, ESIM and v2e write seconds with fractions; whole numbers are µs
    unit = "s" if rows.dtype.kind == "f" and not _is_whole(rows) else None
    if not head.names:
        return read_rows(rows, reading, str(path), unit=unit)
    found = find_fields(head.names, reading, str(path))
    missing = [role for role in FIELDS if role not in found]
    if missing:
        raise EventsError(
            f"{path}: has the columns {', '.join(map(shown, head.names))}, none of them is"
            f" {' or '.join(missing)}: name it, such as --fields"
            f" {missing[0]}={shown(head.names[0])}"
        )
    columns = {role: rows[:, head.names.index(name)] for role, name in found.items()}
    return read_columns(columns, reading, str(path), unit=unit)


def _read_rows(path: Path, head: Head) -> np.ndarray:
    """Return the numbers, (n, columns), as int64 where all of them are whole, else as float64."""
    try:
        try:
            rows = _load(path, head, np.int64)
        except (ValueError, OverflowError, DeprecationWarning):
            rows = _load(path, head, np.float64)
    except (ValueError, OverflowError) as error:
        raise EventsError(
            f"{path}: is no table of numbers ({shown(first_line(error))}): write a line of t x y p"
            " for each event"
        ) from error
    if not rows.size:
        raise EventsError(f"{path}: holds no events: record again")
    if head.names and rows.shape[1] != len(head.names):
        raise EventsError(
            f"{path}: has {len(head.names)} names and {rows.shape[1]} columns: name each column"
            " once"
        )
    return rows


def _load(path: Path, head: Head, dtype: type) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a file without rows
        # an older numpy cuts a fraction off for a whole number, with no more than this
        warnings.simplefilter("error", DeprecationWarning)
        return np.loadtxt(
            path,
            dtype,
            comments=list(COMMENTS),
            delimiter=head.delimiter,
            skiprows=head.n_lines,
            ndmin=2,
            encoding="utf-8",
        )


def _is_whole(rows: np.ndarray) -> bool:
    return bool((rows == np.trunc(rows)).all())


TEXT = FileFormat(
    suffixes=(".csv", ".txt", ".tsv"),
    read=_read,
    sensor_size=lambda path: read_head(path).size,
    named=True,
)
