"""Event Stream's `.es`, version 2: the events of a DVS, or the changes that an ATIS saw.

Source: the specification in the repository neuromorphic-paris/event_stream. Bytes 0 to 11 are the
words "Event Stream", then three of the version and one of the type, then the width and the height
in two bytes each. An event is five bytes: the time since the last one with the flags in its lowest
bits, x and y in two bytes each. Bytes of overflow and reset stand between events.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from speckflex.data._folders import read_bytes
from speckflex.data.formats._file_format import FileFormat, events_from_zero
from speckflex.errors import EventsError
from speckflex.events.streams import make_events

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["EVENT_STREAM", "decode_atis", "decode_dvs"]

SIGNATURE = b"Event Stream"
HEADER_BYTES = 20
VERSION = 2
TYPES = ("generic", "dvs", "atis", "amd", "color")
EVENT_BYTES = 5
LARGEST_SIZE = 2**15


class Stream(NamedTuple):
    """How a type of stream codes the first byte of an event.

    Attributes:
        flag_bits: lowest bits of the first byte; the time is above them.
        reset: from this value on, the byte is no event.
    """

    flag_bits: int
    reset: int


DVS = Stream(flag_bits=1, reset=0xFE)
ATIS = Stream(flag_bits=2, reset=0xFC)


def decode_dvs(data: np.ndarray) -> np.ndarray:
    """Return the events of a DVS stream.

    Args:
        data: `(n,) uint8`, from the first event on.
    """
    times, flags, x, y = _decode(data, DVS)
    return make_events(times, x, y, flags & 1)


def decode_atis(data: np.ndarray) -> np.ndarray:
    """Return the changes of an ATIS stream; its measurements of exposure are left out.

    Args:
        data: `(n,) uint8`, from the first event on.
    """
    times, flags, x, y = _decode(data, ATIS)
    changes = flags & 1 == 0
    return make_events(times[changes], x[changes], y[changes], flags[changes] >> 1)


DECODERS = {"dvs": decode_dvs, "atis": decode_atis}


def _decode(data: np.ndarray, stream: Stream) -> tuple[np.ndarray, ...]:
    """Return the times, flags, x and y of the events; a part of an event at the end is left out."""
    places, overflows = _places(data, stream)
    first = data[places].astype(np.int64)
    longest = (1 << 8 - stream.flag_bits) - 1  # what one overflow adds to the time, µs
    times = np.cumsum(first >> stream.flag_bits) + longest * overflows
    x, y = (data[places + at] | data[places + at + 1].astype(np.int64) << 8 for at in (1, 3))
    return times, first & (1 << stream.flag_bits) - 1, x, y


def _places(data: np.ndarray, stream: Stream) -> tuple[np.ndarray, np.ndarray]:
    """Return where each event begins, and how many overflows stand before it.

    From any place, events follow each other in steps of five bytes up to the next byte of overflow
    or reset on these steps. So only these bytes are visited one by one.
    """
    marks = np.flatnonzero(data >= stream.reset)
    by_step = [marks[marks % EVENT_BYTES == rest].tolist() for rest in range(EVENT_BYTES)]
    place, overflow, end = 0, 0, len(data)
    runs: list[tuple[int, int, int]] = []
    while place < end:
        here = by_step[place % EVENT_BYTES]
        index = bisect_left(here, place)
        stop = here[index] if index < len(here) else end
        if stop - place >= EVENT_BYTES:
            runs.append((place, (stop - place) // EVENT_BYTES, overflow))
        if index == len(here):
            break
        overflow += int(data[stop]) - stream.reset
        place = stop + 1
    if not runs:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    starts, lengths, before = np.array(runs, np.int64).T
    steps = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.repeat(starts, lengths) + EVENT_BYTES * steps, np.repeat(before, lengths)


def _read(path: Path) -> np.ndarray:
    data = np.frombuffer(read_bytes(path), np.uint8)
    kind, _ = _read_header(path, data[:HEADER_BYTES].tobytes())
    events = DECODERS[kind](data[HEADER_BYTES:])
    return events_from_zero(path, events, "p")


def _read_header(path: Path, header: bytes) -> tuple[str, tuple[int, int]]:
    """Return the type of the stream and the (y, x) pixels."""
    if len(header) < HEADER_BYTES or not header.startswith(SIGNATURE):
        raise EventsError(
            f"{path}: does not begin as Event Stream files do: give a file with that format"
        )
    version, number = header[12], header[15]
    if version != VERSION:
        raise EventsError(
            f"{path}: is Event Stream version {version}, only {VERSION} can be read: write it with"
            " a current event_stream"
        )
    kind = TYPES[number] if number < len(TYPES) else f"number {number}"
    if kind not in DECODERS:
        raise EventsError(
            f"{path}: holds a stream of the type {kind}, only dvs and atis hold events of a"
            " camera: give one of these"
        )
    width, height = (int.from_bytes(header[at : at + 2], "little") for at in (16, 18))
    if not (0 < width <= LARGEST_SIZE and 0 < height <= LARGEST_SIZE):
        raise EventsError(
            f"{path}: states a sensor of {width} x {height} pixels, at most {LARGEST_SIZE} a side"
            " can be read: the header is damaged, copy the file again"
        )
    return kind, (height, width)


def _sensor_size(path: Path) -> tuple[int, int]:
    with path.open("rb") as file:
        return _read_header(path, file.read(HEADER_BYTES))[1]


EVENT_STREAM = FileFormat(suffixes=(".es",), read=_read, sensor_size=_sensor_size)
