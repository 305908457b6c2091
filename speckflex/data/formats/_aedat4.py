"""iniVation's `.aedat4`: a header of text, and compressed packets of flatbuffers.

Source: iniVation's page "AEDAT 4.0" and its flatbuffer schemas. Every place that the file states is
checked against its size, so a damaged file is refused and can't end the process.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from speckflex._support.text import first_line, shown
from speckflex.data._folders import read_bytes
from speckflex.data.formats._file_format import FileFormat, events_from_zero
from speckflex.errors import EventsError
from speckflex.events.streams import EVENT_DTYPE, make_events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

__all__ = ["AEDAT4"]

SIGNATURE = b"#!AER-DAT4.0\r\n"
EVENTS = "EVTS"  # the flatbuffers' identifier of packets of events
# An event as the schema has it: 64 bits of time, twice 16 of address, a flag, 3 bytes unused.
EVENT = np.dtype(
    {"names": ["t", "x", "y", "on"], "formats": ["<i8", "<i2", "<i2", "u1"], "itemsize": 16}
)
COMPRESSIONS = ("none", "lz4", "lz4", "zstd", "zstd")
HEADER_BYTES = 2**20  # a header has some 10 kB
LARGEST_PACKET = 2**28  # bytes unpacked: 16 million events
# Events pack to a third; a file that unpacks to far more than it has would fill the memory.
MOST_PACKED = 100
# The fields of the tables, by their place in the schemas.
COMPRESSION, TABLE_PLACE, INFO = 0, 1, 2
ELEMENTS = 0


class _DamageError(Exception):
    """A place in a flatbuffer lies outside it."""


class Info(NamedTuple):
    """What the header says.

    Attributes:
        compression: none, lz4 or zstd.
        stream: the number of the first stream of events.
        size: (y, x) pixels of that stream.
        begin: the byte at which the packets begin.
        end: the byte at which they end.
    """

    compression: str
    stream: int
    size: tuple[int, int]
    begin: int
    end: int


def _read(path: Path) -> np.ndarray:
    content = read_bytes(path)
    try:
        info = _read_info(path, content)
        unpack = _unpacker(path, info.compression)
        packets = _unpacked(map(unpack, _packets(content, info)), len(content))
        parts = [_read_packet(packet) for packet in packets]
    except _DamageError as error:
        raise EventsError(f"{path}: damaged .aedat4 file ({error}): copy the file again") from error
    return events_from_zero(path, np.concatenate([np.empty(0, EVENT_DTYPE), *parts]), "p")


def _read_info(path: Path, content: bytes) -> Info:
    if not content.startswith(SIGNATURE):
        raise EventsError(f"{path}: does not begin as .aedat4 files do: give a camera's own file")
    start = len(SIGNATURE)
    begin = start + 4 + _integer(content, start, 4)
    header = _Table(content[start + 4 : begin])
    compression = header.integer(COMPRESSION, 4)
    table = header.integer(TABLE_PLACE, 8, default=-1)
    if not 0 <= compression < len(COMPRESSIONS):
        raise EventsError(
            f"{path}: has a compression of number {compression}, 0 to 4 are known: convert it with"
            " DV"
        )
    stream, size = _event_stream(path, header.text(INFO))
    end = table if begin <= table <= len(content) else len(content)
    return Info(COMPRESSIONS[compression], stream, size, begin, end)


def _event_stream(path: Path, xml: str) -> tuple[int, tuple[int, int]]:
    """Return the number of the first stream of events and its (y, x) pixels.

    The header has an XML node for each stream, with attributes by key. It is searched, not parsed,
    as a parser would resolve entities.
    """
    streams = re.split(r'<node name="(\d+)"', xml)[1:]
    for number, text in sorted(zip(streams[::2], streams[1::2], strict=False), key=_number):
        values = dict(re.findall(r'<attr key="(\w+)"[^>]*>([^<]*)<', text))
        if values.get("typeIdentifier") == EVENTS:
            sizes = [values.get("sizeY", ""), values.get("sizeX", "")]
            if not all(re.fullmatch("[0-9]{1,9}", size) for size in sizes):
                raise _DamageError(f"stream {number} states no size of its sensor")
            return int(number), (int(sizes[0]), int(sizes[1]))
    raise EventsError(f"{path}: holds no stream of events: record again with events")


def _number(stream: tuple[str, str]) -> int:
    return int(stream[0][:9])


def _packets(content: bytes, info: Info) -> Iterator[bytes]:
    """Yield the packets of the stream of events, as they are stored."""
    place = info.begin
    while place < info.end:
        stream, size = _integer(content, place, 4), _integer(content, place + 4, 4)
        place += 8
        if size < 0 or place + size > info.end:
            raise _DamageError(f"the packet at byte {place - 8} is cut off")
        if stream == info.stream:
            yield content[place : place + size]
        place += size


def _unpacked(packets: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield unpacked packets, as long as they are not far more than the file of `size` bytes."""
    left = LARGEST_PACKET + MOST_PACKED * size
    for packet in packets:
        left -= len(packet)
        if left < 0:
            raise _DamageError(f"it unpacks to more than {MOST_PACKED} times its bytes")
        yield packet


def _read_packet(data: bytes) -> np.ndarray:
    """Return the events of an unpacked packet."""
    table = _Table(data[4:])
    return table.events(ELEMENTS)


class _Table:
    """The root table of a flatbuffer, whose every place is checked.

    Args:
        data: the flatbuffer, without the size in front of it.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.place = _integer(data, 0, 4)
        self.fields = self.place - _integer(data, self.place, 4)
        self.size = _integer(data, self.fields, 2)

    def field(self, number: int) -> int:
        """Return where a field lies; 0 where the table has none."""
        at = 4 + 2 * number
        offset = _integer(self.data, self.fields + at, 2) if at + 2 <= self.size else 0
        return self.place + offset if offset else 0

    def integer(self, number: int, n_bytes: int, default: int = 0) -> int:
        """Return a field that is an integer."""
        place = self.field(number)
        return _integer(self.data, place, n_bytes) if place else default

    def vector(self, number: int, item_bytes: int) -> bytes:
        """Return the bytes of a field that is a vector; none where the table has none."""
        place = self.field(number)
        if not place:
            return b""
        place += _integer(self.data, place, 4)
        length = _integer(self.data, place, 4) * item_bytes
        if length < 0 or place + 4 + length > len(self.data):
            raise _DamageError(f"a list of {length} bytes lies outside its packet")
        return self.data[place + 4 : place + 4 + length]

    def text(self, number: int) -> str:
        """Return a field that is a text."""
        return self.vector(number, 1).decode("utf-8", "replace")

    def events(self, number: int) -> np.ndarray:
        """Return a field that is a vector of events."""
        found = np.frombuffer(self.vector(number, EVENT.itemsize), EVENT)
        return make_events(found["t"], found["x"], found["y"], found["on"] != 0)


def _integer(data: bytes, place: int, n_bytes: int) -> int:
    if place < 0 or place + n_bytes > len(data):
        raise _DamageError(f"byte {place} lies outside its {len(data)} bytes")
    return int.from_bytes(data[place : place + n_bytes], "little", signed=True)


def _unpacker(path: Path, compression: str) -> Callable[[bytes], bytes]:
    """Return the function that unpacks a packet, at most to `LARGEST_PACKET` bytes.

    Raises:
        EventsError: the package that does it is not installed.
    """
    if compression == "none":
        return bytes
    try:
        return {"lz4": _lz4, "zstd": _zstd}[compression]()
    except ImportError as error:
        raise EventsError(
            f"{path}: is compressed by {compression}, and the package that unpacks it is not"
            " installed: pip install 'speckflex[aedat4]'"
        ) from error


def _lz4() -> Callable[[bytes], bytes]:
    from lz4 import frame  # pyright: ignore[reportMissingImports] (an extra)

    def unpack(packet: bytes) -> bytes:
        try:
            return _whole(frame.LZ4FrameDecompressor().decompress(packet, LARGEST_PACKET + 1))
        except (RuntimeError, ValueError, EOFError) as error:
            raise _DamageError(shown(first_line(error))) from error

    return unpack


def _zstd() -> Callable[[bytes], bytes]:
    import zstandard  # pyright: ignore[reportMissingImports] (an extra)

    def unpack(packet: bytes) -> bytes:
        try:
            reader = zstandard.ZstdDecompressor().stream_reader(packet)
            return _whole(reader.read(LARGEST_PACKET + 1))
        except zstandard.ZstdError as error:
            raise _DamageError(shown(first_line(error))) from error

    return unpack


def _whole(data: bytes) -> bytes:
    if len(data) > LARGEST_PACKET:
        raise _DamageError(f"a packet unpacks to more than {LARGEST_PACKET} bytes")
    return data


def _sensor_size(path: Path) -> tuple[int, int]:
    try:
        with path.open("rb") as file:
            return _read_info(path, file.read(HEADER_BYTES)).size
    except _DamageError as error:
        raise EventsError(f"{path}: damaged .aedat4 file ({error}): copy the file again") from error


AEDAT4 = FileFormat(suffixes=(".aedat4",), read=_read, sensor_size=_sensor_size)
