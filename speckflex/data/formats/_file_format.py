"""What a file format tells about itself, and what its module may use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from speckflex.errors import EventsError
from speckflex.events.streams import make_events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

__all__ = ["FileFormat", "event_extent", "events_from_zero", "no_stated_size"]


def no_stated_size(path: Path) -> None:
    """Return None: files of this format do not state the size of their sensor."""
    return


@dataclass(frozen=True)
class FileFormat:
    """A format with one recording in a file.

    Attributes:
        suffixes: of the file names, in lower case and with the dot.
        read: returns the events of a file, in the order of the file.
        sensor_size: returns the (y, x) pixels that a file states, or None.
    """

    suffixes: tuple[str, ...]
    read: Callable[[Path], np.ndarray]
    sensor_size: Callable[[Path], tuple[int, int] | None] = no_stated_size

    def shape(self, paths: Iterable[Path]) -> tuple[int, int, int]:
        """Return the (channel, y, x) shape of the sensor that recorded some files.

        The largest size that the files state; where one of them states none, the smallest shape
        that holds every event.
        """
        paths = list(paths)
        sizes = [self.sensor_size(path) for path in paths]
        stated = [size for size in sizes if size is not None]
        if len(stated) < len(paths):
            return event_extent(map(self.read, paths))
        return 2, max(height for height, _ in stated), max(width for _, width in stated)


def event_extent(streams: Iterable[np.ndarray]) -> tuple[int, int, int]:
    """Return the smallest (channel, y, x) shape that holds every event."""
    largest = np.ones(3, np.int64)
    for stream in streams:
        sizes = [int(stream[name].max(initial=0)) + 1 for name in "pyx"]
        largest = np.maximum(largest, sizes)
    channels, height, width = largest.tolist()
    return channels, height, width


def events_from_zero(path: Path, events: np.ndarray, polarity: str) -> np.ndarray:
    """Return what a camera's reader found as events whose times begin at 0.

    Args:
        path: of the file.
        events: `(n,)` structured, as a reader of another package returns them.
        polarity: the name that its field of the polarity has.

    Raises:
        EventsError: there are no events.
    """
    if not len(events):
        raise EventsError(f"{path}: holds no events: record again")
    times = events["t"].astype(np.int64)
    return make_events(times - times.min(), events["x"], events["y"], events[polarity])
