"""What a file format tells about itself, and what its module may use."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex.errors import EventsError
from speckflex.events.streams import make_events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from speckflex.data.formats._reading import Reading

    Shape = tuple[int, int, int]

# Addresses are 16-bit integers.
LARGEST_SIDE = 2**15

__all__ = ["Contents", "FileFormat", "event_extent", "events_from_zero", "no_stated_size"]


def no_stated_size(path: Path) -> None:
    """Return None: files of this format do not state the size of their sensor."""
    return


@dataclass(frozen=True)
class Contents:
    """The recordings in a file, or in several.

    Args:
        items: what `FileFormat.read` takes for each.
        labels: the class of each, -1 where unknown; None where the file has no labels.
        classes: the names of the labels, where the file has them.
        shape: channel, y, x of the sensor; None where the file does not state it.
    """

    items: tuple[Any, ...]
    labels: tuple[int, ...] | None = None
    classes: tuple[str, ...] = ()
    shape: Shape | None = None


@dataclass(frozen=True)
class FileFormat:
    """A format of files with recordings.

    Attributes:
        suffixes: of the file names, in lower case and with the dot.
        read: returns the events of a file, or of an item of `list`, in the order of the file.
            It takes a `Reading` too if `named`.
        sensor_size: returns the (y, x) pixels that a file states, or None.
        named: whether the fields have names or numbers that a user may give, and times a unit.
        list: returns the recordings of a file that may hold several; None where it holds one.
    """

    suffixes: tuple[str, ...]
    read: Callable[..., np.ndarray]
    sensor_size: Callable[[Path], tuple[int, int] | None] = no_stated_size
    named: bool = False
    list: Callable[[Path, Reading], Contents] | None = field(default=None)

    def reader(self, reading: Reading, source: object) -> Callable[[Any], np.ndarray]:
        """Return the function from an item to its events.

        Raises:
            EventsError: the user names fields or a unit, and files of this format have their own.
        """
        if self.named:
            return partial(self.read, reading=reading)
        if reading.names:
            raise EventsError(
                f"{source}: {' and '.join(self.suffixes)} files define their fields and their unit"
                " of time: leave --fields and --time-unit out"
            )
        return self.read

    def contents(self, paths: Iterable[Path], reading: Reading) -> tuple[Contents, list[Path]]:
        """Return the recordings of some files together, and for each the file that it is in.

        Labels are there if all files have them.
        """
        parts = [(path, self._contents(path, reading)) for path in paths]
        owners = [path for path, part in parts for _ in part.items]
        labels = [label for _, part in parts for label in part.labels or ()]
        shapes = [part.shape for _, part in parts if part.shape is not None]
        classes = {part.classes for _, part in parts if part.classes}
        whole = Contents(
            items=tuple(item for _, part in parts for item in part.items),
            labels=tuple(labels) if labels and len(labels) == len(owners) else None,
            classes=classes.pop() if len(classes) == 1 else (),
            shape=_largest(shapes) if len(shapes) == len(parts) else None,
        )
        return whole, owners

    def _contents(self, path: Path, reading: Reading) -> Contents:
        if self.list is not None:
            return self.list(path, reading)
        size = self.sensor_size(path)
        return Contents((path,), shape=None if size is None else (2, *size))

    def shape(self, contents: Contents, reading: Reading, source: object) -> Shape:
        """Return the (channel, y, x) shape of the sensor.

        The size that the user gives, else what the files state, else the smallest shape that
        holds every event.
        """
        if reading.sensor is not None:
            return contents.shape[0] if contents.shape else 2, *reading.sensor
        if contents.shape is not None:
            _check_stated(contents.shape, source)
            return contents.shape
        return event_extent(map(self.reader(reading, source), contents.items))


def _check_stated(shape: Shape, source: object) -> None:
    """Check the shape that files state, before anything is made of that size."""
    if not all(0 < side <= LARGEST_SIDE for side in shape):
        raise EventsError(
            f"{source}: states a sensor of shape {shape} (channel, y, x), each must be from 1 to"
            f" {LARGEST_SIDE}: give its size with --sensor"
        )


def _largest(shapes: Iterable[Shape]) -> Shape:
    channels, height, width = np.max(np.array(list(shapes)), axis=0).tolist()
    return channels, height, width


def event_extent(streams: Iterable[np.ndarray]) -> Shape:
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
