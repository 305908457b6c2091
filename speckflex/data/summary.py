"""What a recording holds, in numbers and in pictures of counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speckflex.events.reshaping import pool_events
from speckflex.events.streams import MICROSECONDS_PER_SECOND, check_events, find_late

__all__ = ["PEAK_WINDOW", "EventSummary", "count_events", "count_frames", "summarise"]

PEAK_WINDOW = 10_000  # µs over which a peak rate is taken


@dataclass(frozen=True)
class EventSummary:
    """What a recording holds.

    Args:
        events: number of events.
        start: µs, the earliest event; null without events.
        duration: µs from the earliest to the latest event.
        rate: events per second over the duration; null where it is 0.
        peak_rate: events per second in the busiest 10 ms, counted from the earliest event; null
            without events.
        x: the smallest and the largest x; null without events.
        y: the smallest and the largest y; null without events.
        channels: number of events of each channel; of a camera, off and on.
        on_share: share of the events in channel 1, if there are two channels and any events.
        late: number of events that are earlier than one before them in the file.
    """

    events: int
    start: int | None
    duration: int
    rate: float | None
    peak_rate: float | None
    x: tuple[int, int] | None
    y: tuple[int, int] | None
    channels: tuple[int, ...]
    on_share: float | None
    late: int


def summarise(events: np.ndarray, shape: tuple[int, int, int]) -> EventSummary:
    """Return what a recording holds.

    Args:
        events: `(n,)` structured with t (µs), x, y, p; any order.
        shape: channel, y, x of the sensor.

    Raises:
        EventsError: an event lies outside `shape`.
    """
    events = check_events(events, shape)
    times, n_events = events["t"], len(events)
    channels = tuple(np.bincount(events["p"], minlength=shape[0]).tolist())
    if not n_events:
        return EventSummary(0, None, 0, None, None, None, None, channels, None, 0)
    start, duration = int(times.min()), int(times.max() - times.min())
    return EventSummary(
        events=n_events,
        start=start,
        duration=duration,
        rate=n_events * MICROSECONDS_PER_SECOND / duration if duration else None,
        peak_rate=_busiest(times - start) * MICROSECONDS_PER_SECOND / PEAK_WINDOW,
        x=(int(events["x"].min()), int(events["x"].max())),
        y=(int(events["y"].min()), int(events["y"].max())),
        channels=channels,
        on_share=channels[1] / n_events if shape[0] == 2 else None,
        late=len(find_late(events)),
    )


def _busiest(times: np.ndarray) -> int:
    """Return the most events in one window; windows without events take no memory."""
    return int(np.unique(times // PEAK_WINDOW, return_counts=True)[1].max())


def count_events(
    events: np.ndarray, shape: tuple[int, int, int], size: tuple[int, int]
) -> np.ndarray:
    """Return the number of events of each channel in each pixel of a smaller picture.

    Args:
        events: `(n,)` structured with t, x, y, p, inside `shape`.
        shape: channel, y, x of the sensor.
        size: (y, x) of the picture, no larger than the sensor.

    Returns:
        `(channel, y, x) int64`.
    """
    pooled = pool_events(events, (shape[1], shape[2]), size)
    places = (pooled["p"].astype(np.int64) * size[0] + pooled["y"]) * size[1] + pooled["x"]
    counts = np.bincount(places, minlength=shape[0] * size[0] * size[1])
    return counts.reshape(shape[0], *size)


def count_frames(
    events: np.ndarray, shape: tuple[int, int, int], size: tuple[int, int], n_frames: int
) -> np.ndarray:
    """Return pictures of equal parts of the time from the first to the last event.

    Args:
        events: `(n,)` structured with t, x, y, p, inside `shape`.
        shape: channel, y, x of the sensor.
        size: (y, x) of each picture, no larger than the sensor.
        n_frames: number of pictures.

    Returns:
        `(n_frames, channel, y, x) int64`.
    """
    elapsed = events["t"] - events["t"].min(initial=np.iinfo(np.int64).max)
    span = int(elapsed.max(initial=0)) + 1
    frames = [
        count_events(events[elapsed * n_frames // span == frame], shape, size)
        for frame in range(n_frames)
    ]
    return np.stack(frames)
