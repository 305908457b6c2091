"""Columns of numbers under any tool's names, in any unit of time, as events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speckflex._support.text import shown
from speckflex.data.formats._reading import TIME_UNITS, Reading
from speckflex.errors import EventsError
from speckflex.events.streams import FIELDS, events_of_columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["find_fields", "read_columns", "read_rows"]

# The names that other tools give to the fields, in small letters.
SYNONYMS = {
    "t": ("t", "ts", "time", "times", "timestamp", "timestamps"),
    "x": ("x", "xs"),
    "y": ("y", "ys"),
    "p": ("p", "ps", "pol", "polarity", "polarities", "on", "is_increase"),
}
# The orders of the columns in arrays without names: rpg, ESIM and v2e; tonic and MVSEC; Prophesee
# and DVS-Gesture.
ORDERS = ("txyp", "xytp", "xypt")
LARGEST_ADDRESS = 2**15 - 1
MICROSECONDS = TIME_UNITS["us"]


def find_fields(names: Iterable[str], reading: Reading, source: str) -> dict[str, str]:
    """Return the file's name for each of t, x, y and p that it has.

    Args:
        names: that the file has.
        reading: the names that a user gave; they must be there.
        source: what to call the file in a message.

    Raises:
        EventsError: a name that the user gave is not there, or two names may be the same field.
    """
    names = list(names)
    found = {}
    for role, synonyms in SYNONYMS.items():
        given = reading.fields.get(role)
        if given is not None:
            if given not in names:
                raise EventsError(
                    f"{source}: has no field {given!r} for {role}, it has"
                    f" {', '.join(map(shown, names)) or 'none'}: name one of these in --fields"
                )
            found[role] = given
            continue
        matches = [name for name in names if name.lower() in synonyms]
        if len(matches) > 1:
            raise EventsError(
                f"{source}: {' and '.join(map(shown, matches))} may both be {role}: choose one"
                f" with --fields {role}={shown(matches[0])}"
            )
        if matches:
            found[role] = matches[0]
    return found


def read_columns(
    columns: Mapping[str, np.ndarray], reading: Reading, source: str, *, unit: str | None = None
) -> np.ndarray:
    """Return columns that are named t, x, y and p as events.

    Args:
        columns: `(n,)` numbers or booleans for each of t, x, y and p.
        reading: names the unit of time, if a user gave one.
        source: what to call the columns in a message.
        unit: of time, by the rules of the format; None where whole numbers are µs and fractions
            have no known unit.

    Returns:
        `(n,)` events; times in µs, rounded; polarities of -1 and 1 become 0 and 1.

    Raises:
        EventsError: the columns are not of one length, or hold other values.
    """
    lengths = {role: np.shape(columns[role]) for role in FIELDS}
    if len(set(lengths.values())) > 1 or any(len(shape) != 1 for shape in lengths.values()):
        raise EventsError(
            f"{source}: its fields t, x, y, p have the shapes"
            f" {', '.join(str(lengths[role]) for role in FIELDS)}: each needs one value an event"
        )
    times = _microseconds(columns["t"], reading.time_unit or unit, f"{source}, field t")
    channels = _channels(columns["p"], f"{source}, field p")
    return events_of_columns(
        {"t": times, "x": columns["x"], "y": columns["y"], "p": channels}, source=source
    )


def read_rows(
    array: np.ndarray, reading: Reading, source: str, *, unit: str | None = None, order: str = ""
) -> np.ndarray:
    """Return an array of one row an event, without names, as events.

    Args:
        array: `(n, columns)` numbers, at least 4 columns.
        reading: the number of the column of each field, from 0 on, if a user gave them.
        source: what to call the array in a message.
        unit: as in `read_columns`.
        order: the fields in the order of the columns, where the format has one; "" where the
            values must prove it.

    Raises:
        EventsError: the values allow no order or several, or are no events.
    """
    if reading.fields:
        numbers = _numbers(reading, array.shape[1], source)
    else:
        order = order or _proven_order(array, source)
        numbers = {role: order.index(role) for role in FIELDS}
    columns = {role: array[:, number] for role, number in numbers.items()}
    return read_columns(columns, reading, source, unit=unit)


def _numbers(reading: Reading, n_columns: int, source: str) -> dict[str, int]:
    numbers = {role: int(name) for role, name in reading.fields.items() if name.isdecimal()}
    if len(set(numbers.values())) < len(FIELDS) or max(numbers.values()) >= n_columns:
        raise EventsError(
            f"{source}: has {n_columns} columns without names: give the number of each from 0 on,"
            " such as --fields t=0,x=1,y=2,p=3"
        )
    return numbers


def _proven_order(array: np.ndarray, source: str) -> str:
    """Return the one order of columns that the values allow."""
    if array.shape[1] != len(FIELDS):
        raise EventsError(
            f"{source}: has {array.shape[1]} columns without names, an event has 4: give the"
            " number of each from 0 on, such as --fields t=0,x=1,y=2,p=3"
        )
    possible = [order for order in ORDERS if _allows(array, order)]
    if len(possible) == 1:
        return possible[0]
    orders = " or ".join(", ".join(order) for order in possible or ORDERS)
    why = "its values allow the orders" if possible else "its values are in none of the orders"
    numbers = ",".join(f"{role}={(possible or ORDERS)[0].index(role)}" for role in FIELDS)
    raise EventsError(
        f"{source}: has 4 columns without names and {why} {orders}: say which column is what,"
        f" such as --fields {numbers}"
    )


def _allows(array: np.ndarray, order: str) -> bool:
    times, x, y, p = (array[:, order.index(role)] for role in FIELDS)
    return (
        all(_are_addresses(column) for column in (x, y))
        and bool(np.isin(p, (0, 1)).all() or np.isin(p, (-1, 1)).all())
        and bool(np.isfinite(times).all() and (np.diff(times) >= 0).all())
    )


def _are_addresses(column: np.ndarray) -> bool:
    inside = (column >= 0) & (column <= LARGEST_ADDRESS)
    return bool(inside.all()) and bool((column == np.trunc(column)).all())


def _microseconds(times: np.ndarray, unit: str | None, source: str) -> np.ndarray:
    """Return times in µs; as they are where they need no change."""
    if times.dtype.kind == "f":
        if not np.isfinite(times).all():
            raise EventsError(f"{source}: holds NaN or infinity, which is no time: leave these out")
        whole = bool((times == np.trunc(times)).all())
        if unit is None and not whole:
            raise EventsError(
                f"{source}: holds fractions, such as {times[times != np.trunc(times)][0]:g}, of an"
                " unknown unit: say it, such as --time-unit s"
            )
        return times if unit is None else np.rint(times * (MICROSECONDS / TIME_UNITS[unit]))
    if unit is None or unit == "us" or times.dtype.kind not in "iu" or not times.size:
        return times
    if unit == "ns":
        return times // (TIME_UNITS["ns"] // MICROSECONDS)
    factor = MICROSECONDS // TIME_UNITS[unit]
    if max(abs(int(times.min())), abs(int(times.max()))) > np.iinfo(np.int64).max // factor:
        raise EventsError(
            f"{source}: times up to {times.max()} {unit} don't fit into 64 bits of µs: check"
            " --time-unit"
        )
    return times.astype(np.int64) * factor


def _channels(polarity: np.ndarray, source: str) -> np.ndarray:
    """Return polarities with 0 in place of -1."""
    if polarity.dtype.kind not in "if" or not polarity.size or polarity.min() >= 0:
        return polarity
    if not np.isin(polarity, (-1, 1)).all():
        raise EventsError(
            f"{source}: holds {', '.join(f'{value:g}' for value in np.unique(polarity)[:4])}, a"
            " polarity is 0 or 1, or -1 or 1: write it so"
        )
    return polarity > 0
