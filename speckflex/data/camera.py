"""Files as event cameras write them: Prophesee's .raw and .dat, iniVation's .aedat4."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex.data.arrays import event_extent
from speckflex.data.dataset import UNKNOWN, EventDataset
from speckflex.errors import EventsError
from speckflex.events.streams import EVENT_DTYPE, make_events

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SUFFIXES", "open_camera_file", "read_camera_file"]

SUFFIXES = (".raw", ".dat", ".aedat4")
MAX_HEADER = 2**16  # bytes in which a header of text must end
WORD_BYTES = {"evt2": 4, "evt3": 2, "dat": 8}


@dataclass(frozen=True)
class Header:
    """The text that a Prophesee file begins with.

    Attributes:
        text: the lines, without the binary data.
        end: the byte at which the data begins.
    """

    text: str
    end: int

    def size(self) -> tuple[int, int] | None:
        """Return the sensor's (y, x) pixels, or None where the header does not say."""
        wide = re.search(r"geometry\s+(\d+)x(\d+)", self.text)
        if wide:
            return int(wide[2]), int(wide[1])
        height = re.search(r"\bheight[\s=]+(\d+)", self.text, re.IGNORECASE)
        width = re.search(r"\bwidth[\s=]+(\d+)", self.text, re.IGNORECASE)
        return (int(height[1]), int(width[1])) if height and width else None


def open_camera_file(path: Path) -> EventDataset:
    """Return the one recording of a camera file.

    The sensor's shape is the header's, or the smallest that holds every event where the header
    gives none.

    Raises:
        EventsError: the file is damaged, of an unknown kind, or its reader is not installed.
    """
    is_aedat4 = path.suffix.lower() == ".aedat4"
    size = _open_aedat4(path)[2] if is_aedat4 else _header(path).size()
    return EventDataset(
        name=path.name,
        shape=(2, *size) if size else event_extent([read_camera_file(path)]),
        classes=(),
        labels=np.array([UNKNOWN], np.int64),
        synthetic=False,
        items=(path,),
        read=read_camera_file,
    )


def read_camera_file(path: Path) -> np.ndarray:
    """Return the events of a camera file in file order; times begin with the first event.

    Raises:
        EventsError: the file is damaged, of an unknown kind, or its reader is not installed.
    """
    events = _read_aedat4(path) if path.suffix.lower() == ".aedat4" else _read_prophesee(path)
    if not len(events):
        raise EventsError(f"{path}: holds no events: record again")
    times = events["t"].astype(np.int64)
    polarity = events["p" if "p" in (events.dtype.names or ()) else "on"]
    return make_events(times - times.min(), events["x"], events["y"], polarity)


def _read_prophesee(path: Path) -> np.ndarray:
    from expelliarmus import Wizard

    header = _header(path)
    encoding = _encoding(path, header)
    _check_body(path, header, encoding)
    try:
        events = Wizard(encoding=encoding).read(path)
    except (ValueError, RuntimeError, OSError) as error:
        raise EventsError(f"{path}: damaged {encoding} data ({error}): record again") from error
    if events is None:
        raise EventsError(
            f"{path}: no {encoding} events can be read from byte {header.end} on: the data is"
            " damaged or of another encoding than its header says"
        )
    return events


def _header(path: Path) -> Header:
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
                f"{path}: the header line at byte {end} does not end: this is no camera file"
            )
        end = line + 1
    return Header(start[:end].decode("latin-1"), end)


def _encoding(path: Path, header: Header) -> str:
    if path.suffix.lower() == ".dat":
        return "dat"
    found = re.search(r"(?:evt\s+|format\s+EVT)([0-9.]+)", header.text, re.IGNORECASE)
    encoding = {"2": "evt2", "2.0": "evt2", "3": "evt3", "3.0": "evt3"}.get(
        found[1] if found else ""
    )
    if encoding is None:
        named = f"names EVT{found[1]}" if found else "names no encoding"
        raise EventsError(
            f"{path}: its header {named}, EVT2 and EVT3 can be read: convert the file"
        )
    return encoding


def _check_body(path: Path, header: Header, encoding: str) -> None:
    """Refuse what the C reader would cut off silently."""
    start = header.end + (2 if encoding == "dat" else 0)  # .dat: type and size of an event
    size = path.stat().st_size - start
    if size <= 0 or size % WORD_BYTES[encoding]:
        raise EventsError(
            f"{path}: {max(size, 0)} bytes from byte {start} on are no {encoding} words of"
            f" {WORD_BYTES[encoding]} bytes: the file is cut off, copy it again"
        )


def _read_aedat4(path: Path) -> np.ndarray:
    decoder, stream, _ = _open_aedat4(path)
    try:
        packets = [packet["events"] for packet in decoder if packet["stream_id"] == stream]
    except Exception as error:  # the reader has no error class of its own
        raise EventsError(f"{path}: damaged .aedat4 data ({error}): copy it again") from error
    return np.concatenate(packets) if packets else np.empty(0, EVENT_DTYPE)


def _open_aedat4(path: Path) -> tuple[Any, int, tuple[int, int]]:
    """Return a decoder, the first stream of events in it, and that stream's (y, x) pixels."""
    try:
        import aedat  # pyright: ignore[reportMissingImports] (an extra)
    except ImportError as error:
        raise EventsError(
            f"{path}: .aedat4 needs one more package: pip install aedat, or convert the file"
            " to .npy"
        ) from error
    try:
        decoder = aedat.Decoder(str(path))
        streams = sorted(decoder.id_to_stream().items())
        stream, found = next(pair for pair in streams if pair[1]["type"] == "events")
    except StopIteration as error:
        raise EventsError(f"{path}: holds no stream of events: record again with events") from error
    except Exception as error:  # the reader has no error class of its own
        raise EventsError(f"{path}: damaged .aedat4 file ({error}): copy it again") from error
    return decoder, stream, (int(found["height"]), int(found["width"]))
