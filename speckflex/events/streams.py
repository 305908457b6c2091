"""Event streams: numpy structured arrays with tonic's field names `t, x, y, p`."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from speckflex.errors import EventsError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "EVENT_DTYPE",
    "FIELDS",
    "MICROSECONDS_PER_SECOND",
    "as_events",
    "check_events",
    "events_of_columns",
    "find_late",
    "hash_events",
    "make_events",
]

FIELDS = ("t", "x", "y", "p")

# t in microseconds; p is the channel. 16 bits hold every address of the chip and of large networks.
EVENT_DTYPE = np.dtype([("t", np.int64), ("x", np.int16), ("y", np.int16), ("p", np.int16)])
MICROSECONDS_PER_SECOND = 1_000_000
# µs; floats hold every whole number up to it, and its thousandfold fits into 64 bits.
LATEST = 2**53
# Labels of files are below it: a table of every class against every other has to fit in memory.
MOST_CLASSES = 2**12


def make_events(
    times: np.ndarray, x: np.ndarray, y: np.ndarray, channels: np.ndarray
) -> np.ndarray:
    """Return one event array from its four columns.

    Args:
        times: `(n,)` integers, µs.
        x: `(n,)` integers, pixels.
        y: `(n,)` integers, pixels.
        channels: `(n,)` integers or booleans, the polarity or feature.
    """
    events = np.empty(len(times), EVENT_DTYPE)
    events["t"], events["x"], events["y"], events["p"] = times, x, y, channels
    return events


def as_events(array: np.ndarray, *, source: str = "events") -> np.ndarray:
    """Return `array` with the dtype that speckflex works on, whatever its field order.

    The order of the events is kept: a board replays them as they stand.

    Args:
        array: `(n,)` structured, with at least the fields t (µs), x, y and p.
        source: what to call the array in an error message.

    Raises:
        EventsError: the array has no such fields, or a value does not fit.
    """
    array = np.asarray(array)
    if array.dtype == EVENT_DTYPE:
        return array
    missing = [name for name in FIELDS if name not in (array.dtype.names or ())]
    if missing or array.ndim != 1:
        raise EventsError(
            f"{source}: an array of dtype {array.dtype} and shape {array.shape} is no event"
            " stream: make it one-dimensional with the fields t, x, y, p"
        )
    return events_of_columns({name: array[name] for name in FIELDS}, source=source)


def events_of_columns(columns: Mapping[str, np.ndarray], *, source: str = "events") -> np.ndarray:
    """Return one event array from columns of any type whose values fit.

    Args:
        columns: `(n,)` for each of t (µs), x, y and p; integers, booleans or whole floats.
        source: what to call the columns in an error message.

    Raises:
        EventsError: a value does not fit.
    """
    for name in FIELDS:
        _check_castable(columns[name], EVENT_DTYPE[name], f"{source}, field {name}")
    return make_events(*(columns[name] for name in FIELDS))


def check_events(
    events: np.ndarray, shape: tuple[int, int, int], *, source: str = "events"
) -> np.ndarray:
    """Return `events` in the working dtype, checked against a (channel, y, x) shape.

    Raises:
        EventsError: a field is missing, an address lies outside `shape`, or a time is negative or
            after `LATEST`.
    """
    events = as_events(events, source=source)
    if not events.size:
        return events
    for name, limit in zip(("p", "y", "x"), shape, strict=True):
        # as unsigned numbers, negative addresses are beyond all others: one look for both
        if events[name].view(np.uint16).max() >= min(limit, 2**15):
            raise EventsError(_outside(events, name, limit, shape, source))
    if events["t"].view(np.uint64).max() > LATEST:
        index = int(((events["t"] < 0) | (events["t"] > LATEST)).argmax())
        time = int(events["t"][index])
        rule = "must not be negative" if time < 0 else f"must be at most {LATEST} (285 years)"
        raise EventsError(
            f"{source}: event {index} has time {time} µs, times {rule}: subtract the first event's"
            " time"
        )
    return events


def find_late(events: np.ndarray) -> np.ndarray:
    """Return the indices of events that are earlier than one before them.

    Args:
        events: `(n,)` structured with a field t, µs.

    Returns:
        `(late,) int64`, ascending; empty where times never run backwards.
    """
    times = events["t"]
    return np.flatnonzero(times < np.maximum.accumulate(times))


def hash_events(events: np.ndarray) -> str:
    """Return the SHA-256 of an event stream, the same for every field order and machine.

    Args:
        events: `(n,)` event array.
    """
    events = as_events(events)
    digest = hashlib.sha256()
    for name in FIELDS:
        digest.update(np.ascontiguousarray(events[name], "<i8").tobytes())
    return digest.hexdigest()


def _outside(
    events: np.ndarray, name: str, limit: int, shape: tuple[int, int, int], source: str
) -> str:
    """Tell the first address that lies outside a (channel, y, x) shape."""
    index = int(((events[name] < 0) | (events[name] >= limit)).argmax())
    remedy = "crop or rescale the recording, or convert with its input shape"
    if name == "p":
        remedy = "write polarities as 0 and 1, or convert with the recording's input shape"
    return (
        f"{source}: event {index} has {name} = {events[name][index]}, the input has {limit}"
        f" (shape {shape}, channel y x): {remedy}"
    )


def _check_castable(column: np.ndarray, dtype: np.dtype, source: str) -> None:
    if column.dtype.kind not in "biuf":
        raise EventsError(f"{source}: values of dtype {column.dtype} are no numbers: use integers")
    if not column.size:
        return
    if column.dtype.kind == "f" and not (np.isfinite(column) & (column == np.trunc(column))).all():
        raise EventsError(
            f"{source}: fractions or NaN are no addresses and no times: use integers"
            " (time in microseconds)"
        )
    limits = np.iinfo(dtype)
    low, high = column.min(), column.max()
    if low < limits.min or high > limits.max:
        raise EventsError(
            f"{source}: values from {low} to {high}, {dtype} holds {limits.min} to {limits.max}:"
            " check the units (time in microseconds)"
        )
