"""Event streams cut and pooled to the shape of another sensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    Size = tuple[int, int]

__all__ = ["crop_events", "merge_polarities", "pool_events", "thin_pooled_events"]


def crop_events(events: np.ndarray, origin: Size, size: Size) -> np.ndarray:
    """Return the events inside a part of the sensor, with addresses counted from its corner.

    Args:
        events: `(n,)` structured with t, x, y, p.
        origin: (y, x) of the part's upper left pixel.
        size: (y, x) pixels of the part.
    """
    y, x = (events[name].astype(np.int64) - start for name, start in zip("yx", origin, strict=True))
    inside = (y >= 0) & (y < size[0]) & (x >= 0) & (x < size[1])
    cut = events[inside]
    cut["y"], cut["x"] = y[inside], x[inside]
    return cut


def pool_events(events: np.ndarray, sensor: Size, size: Size) -> np.ndarray:
    """Return every event at the larger pixel in which it lies.

    The number of events is kept: a pixel of the new size sends what all of its pixels sent, as
    behind the pooling of the chip's own input stage.

    Args:
        events: `(n,)` structured with t, x, y, p, inside `sensor`.
        sensor: (y, x) pixels.
        size: (y, x) pixels of the result, no larger than `sensor`; pixel x goes to
            `x * size // sensor`.
    """
    pooled = events.copy()
    for name, new, old in zip("yx", size, sensor, strict=True):
        pooled[name] = events[name].astype(np.int64) * new // old
    return pooled


def thin_pooled_events(events: np.ndarray, sensor: Size, size: Size) -> np.ndarray:
    """Return a share of pooled events, so that pixels keep the mean rate that they had.

    Of the events of each new pixel and polarity, in the order of the stream, every k-th goes on,
    where k is the number of old pixels in a new one; k may be a fraction.

    Args:
        events: `(n,)` structured with t, x, y, p, from `pool_events`.
        sensor: (y, x) pixels before the pooling.
        size: (y, x) pixels after it.
    """
    p, y, x = (events[name].astype(np.int64) for name in "pyx")
    pixels = (p * size[0] + y) * size[1] + x
    order = np.argsort(pixels, kind="stable")
    starts = np.flatnonzero(np.diff(pixels[order], prepend=-1))
    counts = np.diff(starts, append=len(order))
    number = np.arange(len(order)) - np.repeat(starts, counts)  # of the event in its pixel
    new, old = size[0] * size[1], sensor[0] * sensor[1]
    kept = (number + 1) * new // old > number * new // old
    return events[np.sort(order[kept])]


def merge_polarities(events: np.ndarray) -> np.ndarray:
    """Return the events with all of them in channel 0."""
    merged = events.copy()
    merged["p"] = 0
    return merged
