"""Event streams as frames of counts; every event counts exactly once."""

from __future__ import annotations

import numpy as np

from speckflex.errors import EventsError
from speckflex.events.streams import check_events

__all__ = ["cut_frames", "frame_ends", "to_frames", "to_frames_by_time"]

MAX_FRAME_VALUES = 2**30  # 8 GiB of counts: beyond it a unit is wrong, or the bins are


def to_frames(
    events: np.ndarray, shape: tuple[int, int, int], n_bins: int, *, duration: int | None = None
) -> np.ndarray:
    """Return the events as `n_bins` frames of equal time, as event counts.

    Without `duration` the frames divide the time from the first to the last event as
    `tonic.transforms.ToFrame(n_time_bins=n_bins)` does: bins of `(last - first) // n_bins` µs.
    What lies beyond the last whole bin (the last event always does) is dropped by tonic and
    counted in the last frame here; all other frames are equal.

    Args:
        events: `(n,)` structured with t, x, y, p; any order.
        shape: channel, y, x of the sensor.
        n_bins: number of frames, at least 1.
        duration: µs; the frames divide the time from 0 to `duration` instead, and events at or
            after its end count in the last frame.

    Returns:
        `(n_bins, channel, y, x) int64`; all zero without events.

    Raises:
        EventsError: an event lies outside `shape`, or `n_bins` or `duration` is below 1.
    """
    _check_at_least_one(n_bins, "n_bins")
    events = check_events(events, shape)
    times = events["t"]
    if duration is not None:
        _check_at_least_one(duration, "duration")
        bins = np.minimum(np.minimum(times, duration) * n_bins // duration, n_bins - 1)
    elif times.size:
        elapsed = times - times.min()
        bins = np.minimum(elapsed // max(elapsed.max() // n_bins, 1), n_bins - 1)
    else:
        bins = times
    return _count(events, bins, n_bins, shape)


def to_frames_by_time(events: np.ndarray, shape: tuple[int, int, int], bin_us: int) -> np.ndarray:
    """Return the events as frames of `bin_us` µs each, counted from time 0.

    Args:
        events: `(n,)` structured with t, x, y, p; any order.
        shape: channel, y, x of the sensor.
        bin_us: µs, at least 1.

    Returns:
        `(time, channel, y, x) int64`, up to and with the last event's frame; one empty frame
        without events.

    Raises:
        EventsError: an event lies outside `shape`, `bin_us` is below 1, or the frames would
            not fit into memory.
    """
    _check_at_least_one(bin_us, "bin_us")
    events = check_events(events, shape)
    bins = events["t"] // bin_us
    n_bins = int(bins.max()) + 1 if bins.size else 1
    return _count(events, bins, n_bins, shape)


def cut_frames(
    events: np.ndarray, shape: tuple[int, int, int], n_bins: int, frame_time: int | None = None
) -> np.ndarray:
    """Return the events as `n_bins` frames, of a given time or of equal shares of their own.

    Args:
        events: `(n,)` structured with t, x, y, p; any order.
        shape: channel, y, x of the sensor.
        n_bins: number of frames, at least 1.
        frame_time: µs of a frame, from time 0 on: the frames after the last event are empty, and
            events after the last frame are left out. None to divide the events' own time, as
            `to_frames` does.

    Returns:
        `(n_bins, channel, y, x) int64`.

    Raises:
        EventsError: an event lies outside `shape`, or `n_bins` or `frame_time` is below 1.
    """
    if frame_time is None:
        return to_frames(events, shape, n_bins)
    _check_at_least_one(n_bins, "n_bins")
    frames = np.zeros((n_bins, *shape), np.int64)
    within = events[events["t"] < n_bins * frame_time]
    counted = to_frames_by_time(within, shape, frame_time)
    frames[: len(counted)] = counted
    return frames


def frame_ends(events: np.ndarray, n_bins: int, frame_time: int | None = None) -> np.ndarray:
    """Return when each frame of `cut_frames` ends, (n_bins,) int64 µs; 0 where there is no time."""
    numbers = np.arange(1, n_bins + 1)
    if frame_time is not None:
        return numbers * frame_time
    if not events.size:
        return numbers * 0
    first, last = int(events["t"].min()), int(events["t"].max())
    return first + (last - first) * numbers // n_bins


def _count(
    events: np.ndarray, bins: np.ndarray, n_bins: int, shape: tuple[int, int, int]
) -> np.ndarray:
    channels, height, width = shape
    size = n_bins * channels * height * width
    if size > MAX_FRAME_VALUES:
        raise EventsError(
            f"{n_bins} frames of shape {shape} are {size} values, at most {MAX_FRAME_VALUES} fit:"
            " use longer bins (time is in microseconds) or cut the recording"
        )
    places = ((bins * channels + events["p"]) * height + events["y"]) * width + events["x"]
    return np.bincount(places, minlength=size).astype(np.int64).reshape(n_bins, *shape)


def _check_at_least_one(value: int, name: str) -> None:
    if value < 1:
        raise EventsError(f"{name} is {value}, frames need at least 1: give a positive integer")
