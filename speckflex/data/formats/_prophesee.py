"""Prophesee's camera files: `.raw` in EVT2, EVT2.1 or EVT3, and `.dat`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from speckflex.data.formats._file_format import FileFormat, events_from_zero
from speckflex.data.formats._prophesee_words import DECODERS
from speckflex.errors import EventsError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PROPHESEE"]

MAX_HEADER = 2**16  # bytes in which a header of text must end
WORD_BYTES = {"evt2": 4, "evt21": 8, "evt3": 2, "dat": 8}
# What a header calls an encoding, after EVT or evt.
ENCODINGS = {
    "2": "evt2",
    "2.0": "evt2",
    "21": "evt21",
    "2.1": "evt21",
    "3": "evt3",
    "3.0": "evt3",
}


class Header(NamedTuple):
    """The text that a file begins with.

    Attributes:
        text: the lines, without the binary data.
        end: the byte at which the data begins.
    """

    text: str
    end: int


def read_header(path: Path) -> Header:
    """Return the header of a file.

    Raises:
        EventsError: the file can't be read, or a header line does not end.
    """
    try:
        with path.open("rb") as file:
            start = file.read(MAX_HEADER)
    except OSError as error:
        raise EventsError(f"{path}: can't be read ({error.strerror}): check the path") from error
    end = 0
    while start[end : end + 1] == b"%":
        line = start.find(b"\n", end)
        if line < 0:
            raise EventsError(
                f"{path}: the header line at byte {end} does not end: give a camera's own file"
            )
        ends = start[end:line].strip() == b"% end"
        end = line + 1
        if ends:  # the data behind it may begin with the byte of a "%"
            break
    return Header(start[:end].decode("latin-1"), end)


def read_sensor_size(path: Path) -> tuple[int, int] | None:
    """Return the sensor's (y, x) pixels, or None where the header does not state them."""
    text = read_header(path).text
    wide = re.search(r"geometry\s+(\d+)x(\d+)", text)
    if wide:
        return _side(wide[2]), _side(wide[1])
    height = re.search(r"\bheight[\s=]+(\d+)", text, re.IGNORECASE)
    width = re.search(r"\bwidth[\s=]+(\d+)", text, re.IGNORECASE)
    return (_side(height[1]), _side(width[1])) if height and width else None


def _side(digits: str) -> int:
    """Return a number of pixels; a text of thousands of digits is some impossible one."""
    return int(digits[:9])


def read_encoding(path: Path, header: Header) -> str:
    """Return evt2, evt21, evt3 or dat: how the data behind the header is encoded.

    Raises:
        EventsError: the header names another encoding, or the data has no whole words of it.
    """
    found = re.search(r"(?:evt\s+|format\s+EVT)([0-9.]+)", header.text, re.IGNORECASE)
    encoding = ENCODINGS.get(found[1] if found else "")
    if path.suffix.lower() == ".dat":
        encoding = "dat"
    if encoding is None:
        named = f"names EVT{found[1]}" if found else "names no encoding"
        raise EventsError(
            f"{path}: its header {named}, EVT2, EVT2.1 and EVT3 can be read: convert the file"
        )
    start = header.end + (2 if encoding == "dat" else 0)  # .dat: type and size of an event
    size = path.stat().st_size - start
    if size <= 0 or size % WORD_BYTES[encoding]:
        raise EventsError(
            f"{path}: {max(size, 0)} bytes from byte {start} on are not a whole number of"
            f" {encoding} words of {WORD_BYTES[encoding]} bytes: the file is cut off, copy it again"
        )
    return encoding


def _read(path: Path) -> np.ndarray:
    header = read_header(path)
    encoding = read_encoding(path, header)
    start = header.end + (2 if encoding == "dat" else 0)
    n_bytes = 4 if encoding == "dat" else WORD_BYTES[encoding]
    words = np.fromfile(path, f"<u{n_bytes}", offset=start)
    if encoding == "evt21" and "endianness=legacy" in header.text:
        # the upper half of each word comes first
        words = words << np.uint64(32) | words >> np.uint64(32)
    events = DECODERS[encoding](words)
    if not len(events):
        raise EventsError(
            f"{path}: no {encoding} events can be read from byte {header.end} on: the data is"
            " damaged, or has another encoding than the header says: record again"
        )
    return events_from_zero(path, events, "p")


PROPHESEE = FileFormat(suffixes=(".raw", ".dat"), read=_read, sensor_size=read_sensor_size)
