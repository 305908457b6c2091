"""iniVation's `.aedat4`, through the package aedat, which is an extra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex._support.text import first_line
from speckflex.data.formats._file_format import FileFormat, events_from_zero
from speckflex.errors import EventsError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["AEDAT4"]


def _read(path: Path) -> np.ndarray:
    decoder, stream, _ = _open(path)
    try:
        packets = [packet["events"] for packet in decoder if packet["stream_id"] == stream]
    except Exception as error:  # the reader has no error class of its own
        raise EventsError(
            f"{path}: damaged .aedat4 data ({first_line(error)}): copy the file again"
        ) from error
    return events_from_zero(path, np.concatenate(packets) if packets else np.empty(0), "on")


def _open(path: Path) -> tuple[Any, int, tuple[int, int]]:
    """Return a decoder, its first stream of events, and the (y, x) pixels of that stream."""
    try:
        import aedat  # pyright: ignore[reportMissingImports] (an extra)
    except ImportError as error:
        raise EventsError(
            f"{path}: the package that reads .aedat4 is not installed: pip install aedat, or"
            " convert the file to .npy"
        ) from error
    try:
        decoder = aedat.Decoder(str(path))
        streams = sorted(decoder.id_to_stream().items())
        stream, found = next(pair for pair in streams if pair[1]["type"] == "events")
    except StopIteration as error:
        raise EventsError(f"{path}: holds no stream of events: record again with events") from error
    except Exception as error:  # the reader has no error class of its own
        raise EventsError(
            f"{path}: damaged .aedat4 file ({first_line(error)}): copy the file again"
        ) from error
    return decoder, stream, (int(found["height"]), int(found["width"]))


AEDAT4 = FileFormat(suffixes=(".aedat4",), read=_read, sensor_size=lambda path: _open(path)[2])
