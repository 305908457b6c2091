"""Recordings made to fit a network: cut, pooled, merged, and divided in windows of time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from speckflex.errors import EventsError
from speckflex.events.reshaping import (
    crop_events,
    merge_polarities,
    pool_events,
    thin_pooled_events,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from speckflex.data.dataset import EventDataset

    Size = tuple[int, int]
    Shape = tuple[int, int, int]

__all__ = ["Crop", "Preprocessing", "preprocess"]

MOST_WINDOWS = 1_000_000  # of one recording: beyond it the unit of the window is wrong


class Crop(NamedTuple):
    """The part of a sensor that is kept.

    Attributes:
        size: (y, x) pixels.
        origin: (y, x) of its upper left pixel; None for the centre of the sensor.
    """

    size: Size
    origin: Size | None = None


@dataclass(frozen=True)
class Preprocessing:
    """How recordings are changed before they are played, in this order.

    Args:
        crop: the part of the sensor that is kept; None for all of it.
        resize: (y, x) pixels to which events are pooled; None for no pooling.
        keep: what pooling keeps: `counts`, the number of all events, as the pooling of the chip's
            input stage does; or `rate`, the mean rate of a pixel: a share of the events is left
            out.
        merge: send both polarities to channel 0.
        window: µs; each recording becomes one sample for each whole window in it, counted from
            its first event. A shorter recording is one sample. None for whole recordings.
        stride: µs from one window to the next; None for windows without gaps.

    Raises:
        EventsError: a size or a time is below 1, or there is a stride without a window.
    """

    crop: Crop | None = None
    resize: Size | None = None
    keep: Literal["counts", "rate"] = "counts"
    merge: bool = False
    window: int | None = None
    stride: int | None = None

    def __post_init__(self) -> None:
        sizes = [*(self.crop.size if self.crop else ()), *(self.resize or ())]
        corner = (self.crop.origin if self.crop else None) or (0, 0)
        if min([1, *sizes]) < 1 or min(corner) < 0:
            raise EventsError(
                f"crop {self.crop} and resize {self.resize}: give sizes of at least 1 pixel and a"
                " corner on the sensor"
            )
        if self.keep not in {"counts", "rate"}:
            raise EventsError(f"pooling keeps {self.keep!r}: use counts or rate")
        times = [time for time in (self.window, self.stride) if time is not None]
        if any(time < 1 for time in times):
            raise EventsError(
                f"window {self.window} and stride {self.stride} µs: give at least 1 µs for each"
            )
        if self.stride is not None and self.window is None:
            raise EventsError(f"stride {self.stride} µs without a window: give a window too")


class Window(NamedTuple):
    """A part of a recording.

    Attributes:
        item: of the recording in its data set.
        start: µs, its first moment.
        stop: µs, the first moment behind it.
    """

    item: Any
    start: int
    stop: int

    def __str__(self) -> str:
        return f"{self.item} from {self.start} to {self.stop} µs"


def preprocess(dataset: EventDataset, settings: Preprocessing) -> EventDataset:
    """Return the same recordings, changed when they are read.

    Torch, the twin and a chip get the same events, since the data set is what they all play.
    `EventDataset.changes` says what was done.

    Args:
        dataset: the recordings. Windows need the times of their events: every recording is read
            once for them.
        settings: the changes.

    Raises:
        EventsError: the sensor's size is not stated and the settings need it, or they don't fit
            on the sensor.
    """
    changed = dataset
    if settings.crop is not None:
        changed = _cropped(changed, settings.crop)
    if settings.resize is not None:
        changed = _pooled(changed, settings.resize, settings.keep)
    if settings.merge and changed.shape[0] > 1:
        changed = _changed(
            changed, merge_polarities, (1, *changed.shape[1:]), "polarities merged in channel 0"
        )
    if settings.window is not None:
        changed = _windows(changed, settings.window, settings.stride or settings.window)
    return changed


def _changed(
    dataset: EventDataset,
    change: Callable[[np.ndarray], np.ndarray],
    shape: Shape,
    words: str,
    *,
    stated: bool = True,
) -> EventDataset:
    """Return a data set whose events are checked as before, and then changed."""
    return replace(
        dataset,
        shape=shape,
        read=lambda item: change(dataset.events_of(item)),
        shape_stated=stated,
        changes=(*dataset.changes, words),
    )


def _cropped(dataset: EventDataset, crop: Crop) -> EventDataset:
    height, width = dataset.shape[1:]
    origin = crop.origin
    if origin is None:
        _check_stated(dataset, "the centre of the sensor")
        origin = ((height - crop.size[0]) // 2, (width - crop.size[1]) // 2)
    ends = (origin[0] + crop.size[0], origin[1] + crop.size[1])
    if min(origin) < 0 or (dataset.shape_stated and (ends[0] > height or ends[1] > width)):
        raise EventsError(
            f"{dataset.name}: a part of {_size(crop.size)} pixels at x = {origin[1]}, y ="
            f" {origin[0]} does not lie on the sensor of {_size((height, width))}: crop less"
        )
    return _changed(
        dataset,
        lambda events: crop_events(events, origin, crop.size),
        (dataset.shape[0], *crop.size),
        f"cropped to {_size(crop.size)} pixels at x = {origin[1]}, y = {origin[0]}",
    )


def _pooled(dataset: EventDataset, size: Size, keep: str) -> EventDataset:
    sensor = dataset.shape[1], dataset.shape[2]
    _check_stated(dataset, "resizing")
    if size[0] > sensor[0] or size[1] > sensor[1]:
        raise EventsError(
            f"{dataset.name}: has {_size(sensor)} pixels, which can't be pooled to {_size(size)}:"
            " resize to no more pixels than there are"
        )
    kept = {
        "counts": "all events are kept, so a pixel's rate grows",
        "rate": "a pixel's mean rate is kept, so events are left out",
    }[keep]

    def change(events: np.ndarray) -> np.ndarray:
        pooled = pool_events(events, sensor, size)
        return thin_pooled_events(pooled, sensor, size) if keep == "rate" else pooled

    return _changed(
        dataset,
        change,
        (dataset.shape[0], *size),
        f"pooled from {_size(sensor)} to {_size(size)} pixels; {kept}",
    )


def _check_stated(dataset: EventDataset, what: str) -> None:
    if not dataset.shape_stated:
        raise EventsError(
            f"{dataset.name}: does not state the size of its sensor, and {what} depends on it: say"
            " it, such as --sensor 640x480"
        )


def _windows(dataset: EventDataset, window: int, stride: int) -> EventDataset:
    last = _LastRead(dataset)
    items: list[Window] = []
    labels: list[int] = []
    for item, label in zip(dataset.items, dataset.labels.tolist(), strict=True):
        starts = _window_starts(last.events_of(item)["t"], window, stride, f"{item}")
        items += [Window(item, start, start + window) for start in starts]
        labels += [label] * len(starts)
    return replace(
        dataset,
        items=tuple(items),
        labels=np.array(labels, np.int64),
        read=last.cut,
        changes=(*dataset.changes, f"windows of {window} µs every {stride} µs"),
    )


def _window_starts(times: np.ndarray, window: int, stride: int, source: str) -> list[int]:
    """Return where the whole windows begin; a shorter recording has one."""
    if not times.size:
        return [0]
    first, last = int(times.min()), int(times.max())
    count = max((last + 1 - first - window) // stride + 1, 1)
    if count > MOST_WINDOWS:
        raise EventsError(
            f"{source}: lasts {last - first} µs, which are {count} windows, at most"
            f" {MOST_WINDOWS} are cut: use a longer window or stride, and check --time-unit"
        )
    return [first + index * stride for index in range(count)]


class _LastRead:
    """Reads recordings and keeps the last one, since its windows are read in a row.

    Args:
        dataset: the recordings.
    """

    def __init__(self, dataset: EventDataset) -> None:
        self._dataset = dataset
        self._item: Any = None
        self._events: np.ndarray | None = None

    def events_of(self, item: Any) -> np.ndarray:
        """Return the events of a recording."""
        if self._events is None or self._item != item:
            self._item, self._events = item, self._dataset.events_of(item)
        return self._events

    def cut(self, part: Window) -> np.ndarray:
        """Return the events of a window, with times from its start on."""
        events = self.events_of(part.item)
        inside = events[(events["t"] >= part.start) & (events["t"] < part.stop)]
        inside["t"] -= part.start
        return inside


def _size(size: Size) -> str:
    return f"{size[1]} x {size[0]}"
