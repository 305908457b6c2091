"""Numpy's own files: a recording in an `.npy`, several in an `.npz`."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from speckflex._support.text import first_line
from speckflex.data.dataset import UNKNOWN, EventDataset
from speckflex.data.formats._file_format import FileFormat, event_extent
from speckflex.errors import EventsError
from speckflex.events.streams import as_events

__all__ = ["NPY", "open_npz", "read_array"]

LABELS = "labels"  # the array of an .npz that holds the labels of the recordings


class Member(NamedTuple):
    """One array of an `.npz` file."""

    path: Path
    key: str

    def __str__(self) -> str:
        return f"{self.path} ({self.key})"


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
                return np.lib.format.read_array(file, allow_pickle=False)
            with np.load(file, allow_pickle=False) as archive:
                return archive[place.key]
    except OSError as error:
        raise EventsError(
            f"{place}: can't be read ({error.strerror or error}): check the path"
        ) from error
    except (
        Exception
    ) as error:  # damaged headers raise whatever numpy's, zip's and zlib's parsers do
        raise EventsError(
            f"{place}: no plain numpy array ({first_line(error)}): save it as a structured array,"
            " without Python objects"
        ) from error


def read_events(place: Path | Member) -> np.ndarray:
    """Return the events of an `.npy` file, or of one array of an `.npz`.

    Raises:
        EventsError: as for `read_array`, or the array holds no event stream.
    """
    return as_events(read_array(place), source=str(place))


NPY = FileFormat(suffixes=(".npy",), read=read_events)


def open_npz(path: Path) -> EventDataset:
    """Return the recordings of an `.npz`: one in each array, their labels in the array `labels`.

    The sensor's shape is the smallest that holds every event.

    Raises:
        EventsError: the file is damaged, or an array of it holds no event stream.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
        raise EventsError(f"{path}: no readable .npz archive ({error}): save it again") from error
    members = tuple(Member(path, name.removesuffix(".npy")) for name in names)
    recordings = tuple(member for member in members if member.key != LABELS)
    if not recordings:
        raise EventsError(f"{path}: holds no recording: save at least one structured array in it")
    labels = np.full(len(recordings), UNKNOWN, np.int64)
    if len(recordings) < len(members):
        labels = _read_labels(path, len(recordings))
    return EventDataset(
        name=path.name,
        shape=event_extent(map(read_events, recordings)),
        classes=tuple(str(label) for label in range(int(labels.max()) + 1)),
        labels=labels,
        synthetic=False,
        items=recordings,
        read=read_events,
    )


def _read_labels(path: Path, n_recordings: int) -> np.ndarray:
    labels = read_array(Member(path, LABELS))
    if labels.shape != (n_recordings,) or labels.dtype.kind not in "iu" or (labels < UNKNOWN).any():
        raise EventsError(
            f"{path}: the array labels has shape {labels.shape} and dtype {labels.dtype}: save one"
            f" integer from -1 on for each of the {n_recordings} recordings"
        )
    return labels.astype(np.int64)
