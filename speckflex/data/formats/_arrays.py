"""Numpy's own files: a recording in an `.npy`, one or several in an `.npz`."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from speckflex._support.npy import read_npy, read_npz_member
from speckflex._support.text import first_line, shown
from speckflex.data.dataset import UNKNOWN
from speckflex.data.formats._columns import find_fields, read_columns, read_rows
from speckflex.data.formats._file_format import Contents, FileFormat
from speckflex.errors import EventsError
from speckflex.events.streams import FIELDS

if TYPE_CHECKING:
    from speckflex.data.formats._reading import Reading

__all__ = ["NPY", "NPZ", "read_array"]

# The arrays of an .npz that hold the labels of the recordings, not a recording.
LABELS = ("labels", "label", "target", "targets")
LARGEST_ARRAY = 2**34  # bytes: a billion events
COLUMNS = ""  # the key of a recording whose fields are an array each


class Member(NamedTuple):
    """One array of an `.npz` file; with an empty key, the recording of all its fields."""

    path: Path
    key: str

    def __str__(self) -> str:
        return f"{self.path} ({shown(self.key)})" if self.key else str(self.path)


def read_array(place: Path | Member) -> np.ndarray:
    """Return an array as it is in its file; nothing pickled is ever loaded.

    Args:
        place: an `.npy` file, or one array of an `.npz`.

    Raises:
        EventsError: the file can't be read, is damaged or holds Python objects.
    """
    path = place if isinstance(place, Path) else place.path
    try:
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            if isinstance(place, Path):
                return read_npy(file, path.stat().st_size)
            with zipfile.ZipFile(file) as archive:
                return read_npz_member(archive, place.key)
    except OSError as error:
        raise EventsError(
            f"{place}: can't be read ({error.strerror or error}): check the path"
        ) from error
    except (
        Exception
    ) as error:  # damaged headers raise whatever numpy's, zip's and zlib's parsers do
        raise EventsError(
            f"{place}: no plain numpy array ({shown(first_line(error))}): save it as a structured"
            " array, without Python objects"
        ) from error


def read_events(place: Path | Member, *, reading: Reading) -> np.ndarray:
    """Return the events of an `.npy` file, or of an `.npz` or one array of it.

    A structured array has its fields by name, a plain one `(n, 4)` in columns.

    Raises:
        EventsError: as for `read_array`, or the array holds no event stream.
    """
    if isinstance(place, Member) and place.key == COLUMNS:
        named = find_fields(_names(place.path), reading, str(place))
        columns = {role: read_array(Member(place.path, name)) for role, name in named.items()}
        return read_columns(columns, reading, str(place))
    array = read_array(place)
    if array.ndim == 2 and array.shape[1] >= len(FIELDS) and array.dtype.kind in "biuf":
        return read_rows(array, reading, str(place))
    names = array.dtype.names or ()
    found = find_fields(names, reading, str(place)) if names else {}
    if len(found) < len(FIELDS) or array.ndim != 1:
        missing = ", ".join(role for role in FIELDS if role not in found)
        raise EventsError(
            f"{place}: an array of dtype {array.dtype} and shape {array.shape} is no event stream"
            f" (without {missing or 'one dimension'}): make it one-dimensional with the fields t,"
            " x, y, p, or name its own with --fields"
        )
    return read_columns({role: array[name] for role, name in found.items()}, reading, str(place))


def list_npz(path: Path, reading: Reading) -> Contents:
    """Return the recordings of an `.npz`.

    If arrays are named as the fields are, they are one recording; otherwise each array is one.
    The array `labels` or `label` has the class of each.

    Raises:
        EventsError: the file is damaged, or holds no recording.
    """
    names = _names(path)
    labels = [name for name in names if name in LABELS]
    arrays = tuple(Member(path, name) for name in names if name not in LABELS)
    if len(find_fields(names, reading, str(path)) if _are_fields(names, reading) else {}) == 4:
        arrays = (Member(path, COLUMNS),)
    if not arrays:
        raise EventsError(f"{path}: holds no recording: save at least one structured array in it")
    if not labels:
        return Contents(arrays)
    return Contents(arrays, _read_labels(Member(path, labels[0]), len(arrays)))


def _are_fields(names: list[str], reading: Reading) -> bool:
    """Return whether a user's names, if there are any, are those of arrays."""
    return set(reading.fields.values()) <= set(names)


def _names(path: Path) -> list[str]:
    """Return the names of the arrays in an `.npz`."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
        raise EventsError(
            f"{path}: no readable .npz archive ({shown(first_line(error))}): save it again"
        ) from error
    for info in members:
        if info.file_size > LARGEST_ARRAY:
            raise EventsError(
                f"{path}: {shown(info.filename)} unpacks to {info.file_size} bytes, at most"
                f" {LARGEST_ARRAY} are read: cut the recording in parts"
            )
    return [info.filename.removesuffix(".npy") for info in members]


def _read_labels(member: Member, n_recordings: int) -> tuple[int, ...]:
    labels = np.atleast_1d(read_array(member))
    if labels.shape != (n_recordings,) or labels.dtype.kind not in "iu" or (labels < UNKNOWN).any():
        raise EventsError(
            f"{member.path}: the array {member.key} has shape {labels.shape} and dtype"
            f" {labels.dtype}: save one integer from -1 on for each of the {n_recordings}"
            " recordings"
        )
    return tuple(labels.tolist())


NPY = FileFormat(suffixes=(".npy",), read=read_events, named=True)
NPZ = FileFormat(suffixes=(".npz",), read=read_events, named=True, list=list_npz)
