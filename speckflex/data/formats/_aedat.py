"""AEDAT 2 and 3.1: what jAER, v2e and cAER write, and the original files of DVS-Gesture.

AEDAT 2 has pairs of a big-endian address and a time in µs, 32 bits each; the bits of the address
are those of jAER's chip class, which the header names. AEDAT 3.1 has packets: 28 bytes of header
and little-endian events of 8 bytes. Sources: iniVation's pages "AEDAT 2.0" and "AEDAT 3.1", and
the extractors of DVS128 and of the DAVIS in jAER. x and y are as jAER shows the recording, counted
from the upper left corner as in all other formats: jAER's addresses begin at the lower right.
v2e mirrors x and y in the same way when it writes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from speckflex._support.text import shown
from speckflex.data._folders import read_bytes
from speckflex.data.formats._file_format import Contents, FileFormat, events_from_zero
from speckflex.errors import EventsError
from speckflex.events.streams import EVENT_DTYPE, make_events

if TYPE_CHECKING:
    from pathlib import Path

    from speckflex.data.formats._reading import Reading

    Size = tuple[int, int]

__all__ = ["AEDAT", "decode_aedat3", "decode_davis", "decode_dvs128"]

VERSION = re.compile(rb"#!AER-DAT(\d+)\.(\d+)")
VERSIONS = ((b"2", b"0"), (b"3", b"1"))
CHIP = re.compile(r"AEChip:\s*([\w.$]+)")
SOURCE = re.compile(r"#Source \d+:\s*([^\r\n]+)")
# What follows may begin with the byte of a "#". In AEDAT 3.1; of jAER and AedatTools in AEDAT 2.
END_OF_HEADER = re.compile(rb"#!END-HEADER|# ?End of ASCII Header", re.IGNORECASE)
HEADER_BYTES = 2**20  # jAER's header with all settings of a camera has some 100 kB
# The sensors that jAER's classes and cAER's sources name: (y, x) pixels.
SENSORS = {
    "DVS128": (128, 128),
    "DAVIS128": (128, 128),
    "DAVIS208": (192, 208),
    "DAVIS240": (180, 240),
    "DAVIS346": (260, 346),
    "DAVIS640": (480, 640),
}
PAIR_BYTES = 8
PACKET_HEADER = np.dtype(
    [
        ("type", "<i2"),
        ("source", "<i2"),
        ("size", "<i4"),
        ("time_at", "<i4"),
        ("overflow", "<i4"),
        ("capacity", "<i4"),
        ("number", "<i4"),
        ("valid", "<i4"),
    ]
)
POLARITY_EVENTS = 1
TIME_WRAP = 31  # bits of the time in AEDAT 3.1; packets count how often they overflowed


class Header(NamedTuple):
    """What the lines of text say.

    Attributes:
        version: 2 or 3.
        text: all lines.
        end: the byte at which the data begins.
    """

    version: int
    text: str
    end: int


def decode_dvs128(pairs: np.ndarray) -> np.ndarray:
    """Return the events of a DVS128 in AEDAT 2.

    Bit 0 is 0 for ON; bits 1 to 7 are x, 8 to 14 y. A higher bit marks a signal of the plug.

    Args:
        pairs: `(n, 2) uint32`, addresses and times.
    """
    address = pairs[:, 0].astype(np.int64)
    pixels = address >> 15 == 0
    address = address[pixels]
    x, y = 127 - (address >> 1 & 127), 127 - (address >> 8 & 127)
    return make_events(_unwrapped(pairs[pixels, 1]), x, y, 1 - (address & 1))


def decode_davis(pairs: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the events of a DAVIS in AEDAT 2; frames, signals and motion are left out.

    Bit 31 marks frames and motion, bit 10 signals of the plug. Bit 11 is 1 for ON; bits 12 to 21
    are x, 22 to 30 y.

    Args:
        pairs: `(n, 2) uint32`, addresses and times.
        size: (y, x) pixels.
    """
    address = pairs[:, 0].astype(np.int64)
    pixels = address & (1 << 31 | 1 << 10) == 0
    address = address[pixels]
    x, y = size[1] - 1 - (address >> 12 & 1023), size[0] - 1 - (address >> 22 & 511)
    return make_events(_unwrapped(pairs[pixels, 1]), x, y, address >> 11 & 1)


def decode_aedat3(data: bytes, source: str) -> np.ndarray:
    """Return the valid events of polarity in AEDAT 3.1; other packets are read past.

    Bit 0 of an event is 1 if it is valid, bit 1 is 1 for ON; bits 2 to 16 are y, 17 to 31 x,
    counted from the upper left corner.

    Args:
        data: the packets.
        source: what to call the file in a message.

    Raises:
        EventsError: a packet is cut off or its header is damaged.
    """
    parts, place = [np.empty(0, EVENT_DTYPE)], 0
    while place < len(data):
        start = place + PACKET_HEADER.itemsize
        if start > len(data):
            raise EventsError(f"{source}: its last packet is cut off: copy the file again")
        header = np.frombuffer(data, PACKET_HEADER, 1, place)[0]
        number, size = int(header["number"]), int(header["size"])
        end = start + number * size
        is_polarity = header["type"] == POLARITY_EVENTS
        if number < 0 or size < 1 or end > len(data) or (is_polarity and size != PAIR_BYTES):
            raise EventsError(
                f"{source}: the packet at byte {place} of the data claims {number} events of {size}"
                f" bytes, {len(data) - start} follow: copy the file again"
            )
        if is_polarity:
            pairs = np.frombuffer(data, "<u4", 2 * number, start).reshape(-1, 2)
            parts.append(_polarity_events(pairs, int(header["overflow"])))
        place = end
    return np.concatenate(parts)


def _polarity_events(pairs: np.ndarray, overflow: int) -> np.ndarray:
    pairs = pairs[pairs[:, 0] & 1 == 1].astype(np.int64)
    address, times = pairs[:, 0], pairs[:, 1] + (overflow << TIME_WRAP)
    x, y = address >> 17 & 0x7FFF, address >> 2 & 0x7FFF
    return make_events(times, x, y, address >> 1 & 1)


def _unwrapped(times: np.ndarray) -> np.ndarray:
    """Return 32-bit times that go on where they overflow; jAER's time is signed."""
    steps = np.diff(times.astype(np.int64), prepend=times[:1].astype(np.int64))
    return times.astype(np.int64) + (np.cumsum(steps < -(2**31)) << 32)


class Sized(NamedTuple):
    """A file whose sensor the user stated.

    Attributes:
        path: of the file.
        size: (y, x) pixels.
    """

    path: Path
    size: tuple[int, int]

    def __str__(self) -> str:
        return str(self.path)


def _list(path: Path, reading: Reading) -> Contents:
    size = _sensor_size(path, reading.sensor)
    item = path if reading.sensor is None else Sized(path, reading.sensor)
    return Contents((item,), shape=None if size is None else (2, *size))


def _read(place: Path | Sized) -> np.ndarray:
    path, told = place if isinstance(place, Sized) else (place, None)
    content = read_bytes(path)
    header = _read_header(path, content)
    if header.version == 3:
        events = decode_aedat3(content[header.end :], str(path))
    else:
        events = _read_pairs(path, header, content, told)
    return events_from_zero(path, events, "p")


def _read_pairs(path: Path, header: Header, content: bytes, told: Size | None) -> np.ndarray:
    size = len(content) - header.end
    if size % PAIR_BYTES:
        raise EventsError(
            f"{path}: {size} bytes from byte {header.end} on are not a whole number of events of"
            f" {PAIR_BYTES} bytes: the file is cut off, copy it again"
        )
    pairs = np.frombuffer(content, ">u4", offset=header.end).reshape(-1, 2).astype(np.uint32)
    name, sensor = _sensor(path, header, pairs, told)
    if name == "DVS128":
        return decode_dvs128(pairs)
    events = decode_davis(pairs, sensor)
    if len(events) and min(events["x"].min(), events["y"].min()) < 0:
        raise EventsError(
            f"{path}: has addresses outside the {sensor[1]} x {sensor[0]} pixels of {name}:"
            " correct --sensor, or the line '# AEChip: ...' of its header"
        )
    return events


def _sensor(path: Path, header: Header, pairs: np.ndarray, told: Size | None) -> tuple[str, Size]:
    """Return the sensor's name and (y, x) pixels.

    A header that names none is that of a DVS128, or of a DAVIS whose size the user must tell: v2e
    writes no name.
    """
    found = CHIP.search(header.text)
    if found:
        chip = found[1].rsplit(".", 1)[-1]
        name = _known(chip)
        if not name:
            raise EventsError(
                f"{path}: is of the camera {shown(chip)}, AEDAT 2 can be read of"
                f" {', '.join(SENSORS)}: convert it with jAER"
            )
        return name, SENSORS[name]
    if not len(pairs) or pairs[:, 0].max() < 2**16:
        return "DVS128", SENSORS["DVS128"]
    if told is None:
        raise EventsError(
            f"{path}: its header does not name the camera, and its addresses are not those of a"
            " DVS128: say the size of the DAVIS, such as --sensor 346x260"
        )
    return "the sensor that was stated", told


def _known(name: str) -> str:
    """Return the sensor that a name of jAER, cAER or AedatTools begins with; "" for another."""
    name = re.sub(r"^DAVIS?(?=\d)", "DAVIS", name.upper())
    return next((sensor for sensor in SENSORS if name.startswith(sensor)), "")


def _read_header(path: Path, content: bytes) -> Header:
    version = VERSION.match(content)
    if version is None or version.groups() not in VERSIONS:
        begin = content.partition(b"\n")[0][:20].decode("latin-1").strip()
        raise EventsError(
            f"{path}: begins with {shown(begin)!r}, AEDAT 2.0 and 3.1 can be read: convert the file"
            " with DV, whose AEDAT 4 has a suffix of its own"
        )
    end = 0
    while content[end : end + 1] == b"#":
        line_end = content.find(b"\n", end)
        if line_end < 0:
            raise EventsError(f"{path}: the header line at byte {end} does not end: copy it again")
        last = END_OF_HEADER.match(content, end, line_end) is not None
        end = line_end + 1
        if last:
            break
    return Header(int(version[1]), content[:end].decode("latin-1"), end)


def _sensor_size(path: Path, told: Size | None) -> Size | None:
    with path.open("rb") as file:
        content = file.read(HEADER_BYTES)
    header = _read_header(path, content)
    if header.version == 3:
        source = SOURCE.search(header.text)
        name = _known(source[1]) if source else ""
        return SENSORS[name] if name else None
    pairs = np.frombuffer(content, ">u4", (len(content) - header.end) // 8 * 2, header.end)
    return _sensor(path, header, pairs.reshape(-1, 2), told)[1]


AEDAT = FileFormat(suffixes=(".aedat", ".aedat2"), read=_read, list=_list)
