"""HDF5 of DSEC, M3ED, MVSEC, v2e, ESIM, E2VID and Prophesee, and the spikes of SHD and SSC.

Sources: the pages of the data sets, and of v2e's output. A recording is a group with an array for
each field, an array with named fields, or one with a row an event. Fractions of time are seconds.
"""

from __future__ import annotations

import importlib
import re
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import h5py
import numpy as np

from speckflex._support.hdf5 import Hdf5Guard, holds_text, is_hdf5
from speckflex._support.text import first_line, shown
from speckflex.data.dataset import UNKNOWN
from speckflex.data.formats._columns import find_fields, read_columns, read_rows
from speckflex.data.formats._file_format import Contents, FileFormat
from speckflex.errors import EventsError
from speckflex.events.streams import FIELDS, MICROSECONDS_PER_SECOND, make_events

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from speckflex.data.formats._reading import Reading

__all__ = ["HDF5"]

GUARD = Hdf5Guard(EventsError, "copy the file again, or write it anew", 2**36)
# Arrays of one row an event, by their names and the order of their columns.
ROW_ORDERS = {"davis/left/events": "xytp", "davis/right/events": "xytp"}
V2E_ORDER = "txyp"  # of its array `events`, uint32
# Heidelberg's spike trains (SHD, SSC): one axis of 700 units.
UNITS = 700
SPIKES = ("spikes/times", "spikes/units")
ECF = 36559  # the number of Prophesee's codec among HDF5's filters
ALWAYS_THERE = range(1, 7)  # deflate to scale-offset come with HDF5
MOST_NAMES = 5  # in a message


class Place(NamedTuple):
    """Where a recording lies in a file.

    Attributes:
        path: of the file.
        name: of the group or array; "" for the whole file.
        train: the number of a spike train among several; -1 where there is one recording.
    """

    path: Path
    name: str = ""
    train: int = -1

    def __str__(self) -> str:
        part = f" (spike train {self.train})" if self.train >= 0 else ""
        return f"{self.path}{f' ({shown(self.name)})' if self.name else part}"


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """Yield a file that was checked; turn all that HDF5 raises into one line."""
    try:
        status = path.stat()
        _check_heaps(path, status.st_size, status.st_mtime_ns)
        with h5py.File(path, "r") as file:
            yield file
    except EventsError:
        raise
    except Exception as error:  # HDF5 raises anything on a damaged file
        raise EventsError(
            f"{path}: is damaged, HDF5 can't read it ({shown(first_line(error))}): copy the file"
            " again"
        ) from error


@lru_cache(maxsize=256)
def _check_heaps(path: Path, size: int, changed: int) -> None:
    """Check a file once as long as it does not change: thousands of trains may lie in it."""
    if not is_hdf5(path):
        raise EventsError(f"{path}: is no HDF5 file: give it the suffix of its format")
    GUARD.check_heaps(path)
    with h5py.File(path, "r") as file:
        GUARD.check_contents(path, file)


def _list(path: Path, reading: Reading) -> Contents:
    with _opened(path) as file:
        if all(name in file for name in SPIKES):
            return _list_trains(path, file)
        name = _find(path, file, reading)
        size = _stated_size(file, name)
    return Contents((Place(path, name),), shape=None if size is None else (2, *size))


def _list_trains(path: Path, file: h5py.File) -> Contents:
    """Return the spike trains of SHD or SSC, with their labels and the names of their classes."""
    n_trains = len(_array(path, file, SPIKES[0]))
    labels = None
    if "labels" in file:
        found = _array(path, file, "labels")[()]
        if found.shape != (n_trains,) or found.dtype.kind not in "iu" or (found < UNKNOWN).any():
            raise EventsError(
                f"{path}: has {n_trains} spike trains and labels of shape {found.shape} and dtype"
                f" {found.dtype}: write one integer from -1 on for each train"
            )
        labels = tuple(found.astype(int).tolist())
    classes = ()
    if "extra/keys" in file:
        keys = np.atleast_1d(_array(path, file, "extra/keys")[()]).tolist()
        classes = tuple(shown(_text(key)) for key in keys)
    return Contents(
        tuple(Place(path, train=train) for train in range(n_trains)),
        labels,
        classes if labels and max(labels) < len(classes) else (),
        (1, 1, UNITS),
    )


def _read(place: Place, *, reading: Reading) -> np.ndarray:
    with _opened(place.path) as file:
        if place.train >= 0:
            return _read_train(place, file)
        if any("/" in name for name in reading.fields.values()):
            columns = {role: _values(place, file, name) for role, name in reading.fields.items()}
            return read_columns(columns, reading, str(place), unit=_unit(columns["t"]))
        item = file[place.name or "/"]
        if isinstance(item, h5py.Group):
            named = find_fields(_arrays(item), reading, str(place))
            columns = {role: _values(place, item, name) for role, name in named.items()}
            return read_columns(columns, reading, str(place), unit=_unit(columns["t"]))
        array = _values(place, file, place.name)
    return _read_array(place, array, reading)


def _read_array(place: Place, array: np.ndarray, reading: Reading) -> np.ndarray:
    """Return the events of an array with named fields, or with a row an event."""
    if array.dtype.names:
        named = find_fields(array.dtype.names, reading, str(place))
        columns = {role: array[name] for role, name in named.items()}
        return read_columns(columns, reading, str(place), unit=_unit(columns["t"]))
    is_v2e = place.name == "events" and array.dtype == np.uint32 and array.shape[1] == len(FIELDS)
    order = V2E_ORDER if is_v2e else ROW_ORDERS.get(place.name, "")
    return read_rows(array, reading, str(place), unit=_unit(array), order=order)


def _read_train(place: Place, file: h5py.File) -> np.ndarray:
    """Return a spike train: x is the unit, t in seconds becomes µs."""
    times, units = (np.asarray(_array(place.path, file, name)[place.train]) for name in SPIKES)
    if times.shape != units.shape or times.ndim != 1 or not np.isfinite(times).all():
        raise EventsError(
            f"{place}: has times of shape {times.shape} and units of shape {units.shape}: each"
            " spike needs a time and a unit"
        )
    zeros = np.zeros(len(times), np.int64)
    microseconds = np.rint(times.astype(np.float64) * MICROSECONDS_PER_SECOND)
    return make_events(microseconds, units, zeros, zeros)


def _find(path: Path, file: h5py.File, reading: Reading) -> str:
    """Return the name of the one recording in a file.

    Of a stereo pair it is the left one.

    Raises:
        EventsError: there is none, or there are several.
    """
    if any("/" in name for name in reading.fields.values()):
        if len(reading.fields) < len(FIELDS):
            raise EventsError(
                f"{path}: the paths of all of t, x, y and p are needed in --fields, where one is"
                " given by its path"
            )
        return ""
    found = [name for name, item in _items(file) if _holds_events(name, item, reading, str(path))]
    found = [
        name for name in found if name.replace("right", "left") not in found or "right" not in name
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        raise EventsError(f"{path}: {_what_else(file)}")
    first = found[0]
    raise EventsError(
        f"{path}: holds several recordings: {', '.join(map(shown, found[:MOST_NAMES]))}: choose one"
        f" by the paths of its fields, such as --fields"
        f" {','.join(f'{role}={shown(first)}/{role}' for role in FIELDS)}"
    )


def _items(file: h5py.File) -> list[tuple[str, h5py.Group | h5py.Dataset]]:
    items: list[tuple[str, h5py.Group | h5py.Dataset]] = [("", file)]
    file.visititems(lambda name, item: items.append((name, item)))
    return items


def _holds_events(
    name: str, item: h5py.Group | h5py.Dataset, reading: Reading, source: str
) -> bool:
    with suppress(EventsError):
        if isinstance(item, h5py.Group):
            return len(find_fields(_arrays(item), reading, name)) == len(FIELDS)
        if item.dtype.names:
            return len(find_fields(item.dtype.names, reading, name)) == len(FIELDS)
        is_table = len(item.shape) == 2 and item.shape[1] == len(FIELDS)
        return is_table and item.dtype.kind in "biuf" and name.rpartition("/")[2] == "events"
    return False


def _arrays(group: h5py.Group) -> list[str]:
    """Return the names of the one-dimensional arrays that lie in a group itself."""
    return [
        name
        for name, item in group.items()
        if isinstance(item, h5py.Dataset) and len(item.shape) == 1
    ]


def _what_else(file: h5py.File) -> str:
    """Return what a file without events holds, as far as it says so, and what to do."""
    content = file.attrs.get("content", "")
    if isinstance(content, str) and content == "speckflex recording":
        return "holds the spikes of a board, not the events of a camera: give the input of the run"
    names = ", ".join(shown(name) for name, _ in _items(file)[1 : MOST_NAMES + 1])
    return (
        f"holds no group or array with t, x, y and p, but {names or 'nothing'}: name them by their"
        " paths, such as --fields t=GROUP/time,x=GROUP/col,y=GROUP/row,p=GROUP/sign"
    )


def _stated_size(file: h5py.File, name: str) -> tuple[int, int] | None:
    """Return the (y, x) pixels that a file states.

    E2VID: the attribute sensor_resolution, (height, width). M3ED: the array calib/resolution,
    (width, height). Prophesee: the attribute geometry, such as 640x480.
    """
    geometry = re.fullmatch(r"(\d{1,9})x(\d{1,9})", _text(file.attrs.get("geometry", "")))
    if geometry:
        return int(geometry[2]), int(geometry[1])
    size = np.ravel(file.attrs.get("sensor_resolution", ()))
    if size.size in {2, 3} and size.dtype.kind in "iu" and size[:2].min() > 0:
        return int(size[0]), int(size[1])
    resolution = file.get(f"{name}/calib/resolution")
    if not isinstance(resolution, h5py.Dataset) or resolution.dtype.kind not in "iu":
        return None
    if resolution.shape != (2,):
        return None
    width, height = resolution[()].tolist()
    return int(height), int(width)


def _values(place: Place, group: h5py.Group, name: str) -> np.ndarray:
    return np.asarray(_array(place.path, group, name)[()])


def _array(path: Path, group: h5py.Group, name: str) -> h5py.Dataset:
    """Return an array whose filters can all be undone.

    Raises:
        EventsError: there is no such array, or a plugin of HDF5 is missing.
    """
    item = group.get(name)
    if not isinstance(item, h5py.Dataset):
        raise EventsError(f"{path}: has no array {shown(name)}: name one of its arrays")
    # rows of any length are of numbers, as the trains of SHD
    row = h5py.check_vlen_dtype(item.dtype)
    if item.dtype.hasobject and not holds_text(item) and (row is None or row.kind not in "iuf"):
        raise EventsError(f"{path}: {shown(name)} holds {item.dtype}: name an array of numbers")
    properties = item.id.get_create_plist()
    for index in range(properties.get_nfilters()):
        number = properties.get_filter(index)[0]
        if number in ALWAYS_THERE or h5py.h5z.filter_avail(number):
            continue
        with suppress(ImportError):
            importlib.import_module("hdf5plugin")
        if not h5py.h5z.filter_avail(number):
            raise EventsError(f"{path}: {_missing_filter(number, path)}")
    return item


def _missing_filter(number: int, path: Path) -> str:
    if number == ECF:
        return (
            "is compressed by Prophesee's codec ECF, whose plugin for HDF5 is not found: convert"
            f" it with Metavision's metavision_file_to_dat -i {path.name}, or set HDF5_PLUGIN_PATH"
            " to the folder of the plugin"
        )
    return (
        f"is compressed by HDF5's filter {number}, which is not installed: pip install"
        " 'speckflex[hdf5]'"
    )


def _unit(times: np.ndarray) -> str | None:
    """Return s for times with fractions; None, which is µs, for whole numbers."""
    if times.dtype.kind != "f" or not np.isfinite(times).all():
        return None
    return "s" if (times != np.trunc(times)).any() else None


def _text(value: object) -> str:
    """Return a text that h5py gives as bytes or str; "" for anything else."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return value if isinstance(value, str) else ""


HDF5 = FileFormat(suffixes=(".h5", ".hdf5"), read=_read, named=True, list=_list)
