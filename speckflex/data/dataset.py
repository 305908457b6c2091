"""A data set of labelled event recordings, each read when it is used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, overload

import numpy as np

from speckflex._support.text import printable
from speckflex.data._display import dataset_html, dataset_line
from speckflex.errors import EventsError
from speckflex.events.streams import check_events

__all__ = ["UNKNOWN", "EventDataset", "balanced_positions", "fitting_options"]

LATEST_START = 86_400_000_000  # µs, a day
UNKNOWN = -1  # the label of a recording that comes without one

Sample = tuple[np.ndarray, int]


@dataclass(frozen=True, eq=False)
class EventDataset(Sequence[Sample]):
    """Recordings with labels; `dataset[i]` reads one as `(events, label)`.

    Attributes:
        name: the name of the data set in a report.
        shape: channel, y, x of the sensor.
        classes: the name of each label.
        labels: `(n,) int64`, an index into `classes`, or -1 where unknown.
        synthetic: whether the recordings are simulated.
        items: one for each recording: a path, a place in a file, or settings of a simulation.
        read: returns the events of an item, in the order of the file.
        shape_stated: whether the recordings or the user state `shape`; otherwise it is the extent
            of the events, and the sensor may be larger.
        changes: sentences about what was done to the recordings before they are played.
    """

    name: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    labels: np.ndarray
    synthetic: bool
    items: tuple[Any, ...]
    read: Callable[[Any], np.ndarray]
    shape_stated: bool = True
    changes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # names of files and folders, which may hold any character
        object.__setattr__(self, "name", printable(self.name))
        object.__setattr__(self, "classes", tuple(map(printable, self.classes)))

    def __repr__(self) -> str:
        return dataset_line(self)

    def _repr_html_(self) -> str:
        return dataset_html(self)

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> EventDataset: ...
    def __getitem__(self, index: int | slice) -> Sample | EventDataset:
        """Return one recording as `(events, label)`, or a slice of the data set.

        A recording with a time below 0, or with the times of a clock, which begin after the first
        day, is shifted to begin at 0.

        Raises:
            EventsError: the recording can't be read or does not fit `shape`.
        """
        if isinstance(index, slice):
            return self.subset(np.arange(len(self))[index])
        return self.events_of(self.items[index]), int(self.labels[index])

    def events_of(self, item: Any) -> np.ndarray:
        """Return the events of an item, inside `shape` and with times from 0 on.

        Raises:
            EventsError: the recording can't be read or does not fit `shape`.
        """
        events = self.read(item)
        if events.size and not 0 <= events["t"].min() <= LATEST_START:
            events = events.copy()
            events["t"] -= events["t"].min()
        return check_events(events, self.shape, source=str(item))

    def subset(self, indices: Sequence[int] | np.ndarray) -> EventDataset:
        """Return a data set of the recordings at `indices`, in that order."""
        indices = np.asarray(indices, np.int64)
        items = tuple(self.items[index] for index in indices)
        return replace(self, labels=self.labels[indices], items=items)

    def on_sensor(self, shape: tuple[int, int, int]) -> EventDataset:
        """Return the same recordings with another (channel, y, x) shape of the sensor.

        For files that don't state the size of their sensor: `shape` is then the smallest that
        holds their events.

        Raises:
            EventsError: the recordings do not fit on such a sensor.
        """
        if any(size < known for size, known in zip(shape, self.shape, strict=True)):
            raise EventsError(
                f"{self.name}: its recordings have the shape {self.shape} (channel, y, x), {shape}"
                f" is smaller: {fitting_options(self.shape, shape)}, or use the shape of the"
                " recordings"
            )
        return replace(self, shape=shape, shape_stated=True)

    def balanced(self, limit: int | None, *, seed: int = 0) -> EventDataset:
        """Return `limit` recordings, spread evenly over the classes.

        The classes take turns, and in each class the order is drawn from `seed`; a smaller limit
        gives the beginning of a larger one. None, or a limit that is not reached, gives all
        recordings in their own order.

        Raises:
            EventsError: the limit is below 1.
        """
        if limit is None or limit >= len(self):
            return self
        return self.subset(balanced_positions(self.labels, limit, seed=seed, name=self.name))


def balanced_positions(labels: np.ndarray, limit: int, *, seed: int, name: str) -> list[int]:
    """Return `limit` positions, spread evenly over the classes, in an order drawn from `seed`.

    Args:
        labels: (n,) int64.
        limit: at least 1.
        seed: of the draw.
        name: of the data set, for the message.

    Raises:
        EventsError: the limit is below 1.
    """
    if limit < 1:
        raise EventsError(f"{name}: the limit of {limit} recordings leaves none: give at least 1")
    rng = np.random.default_rng(seed)
    decks = [rng.permutation(np.flatnonzero(labels == c)) for c in np.unique(labels)]
    turns = [int(i) for turn in zip_longest(*decks) for i in turn if i is not None]
    return turns[:limit]


def fitting_options(have: tuple[int, int, int], want: tuple[int, int, int]) -> str:
    """Return the options that make recordings of one (channel, y, x) shape fit another.

    Args:
        have: shape of the recordings.
        want: shape that a network takes.
    """
    options = ["--merge-polarities"] * (have[0] == 2 and want[0] == 1)
    if want[1] < have[1] or want[2] < have[2]:
        options.append(f"--resize {min(want[2], have[2])}x{min(want[1], have[1])}")
    return f"fit them with {' '.join(options)}" if options else "crop or rescale them"
