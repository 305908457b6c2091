"""Recordings in numpy's own files, `.npy` and `.npz`."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from speckflex.data.dataset import UNKNOWN, EventDataset
from speckflex.data.folders import (
    is_synthetic,
    natural_order,
    numbers_and_text,
    split_folders,
)
from speckflex.errors import EventsError
from speckflex.events.streams import as_events

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "event_extent",
    "labelled_folders",
    "open_array_files",
    "open_labelled_arrays",
    "read_npy_file",
]

GESTURE_USER = "user"  # DVS-Gesture: a folder a person, user01_natural and the like
LABELS = "labels"  # the array of an .npz that holds no events but their labels


class Member(NamedTuple):
    """One array of an `.npz` file."""

    path: Path
    key: str

    def __str__(self) -> str:
        return f"{self.path} ({self.key})"


def open_array_files(path: Path) -> EventDataset:
    """Return the recordings of an `.npy`, an `.npz` or a folder of `.npy` files.

    An `.npy` holds one structured array; an `.npz` one per name, and optionally their labels as
    the integer array `labels`. The sensor's shape is the smallest that holds every event.

    Raises:
        EventsError: a file is damaged, pickled, or holds no event stream.
    """
    if path.is_dir():
        items: tuple[Path | Member, ...] = tuple(natural_order(path, ".npy"))
    elif path.suffix.lower() == ".npz":
        items = tuple(Member(path, key) for key in _keys(path) if key != LABELS)
    else:
        items = (path,)
    if not items:
        raise EventsError(f"{path}: holds no recording: it needs at least one structured array")
    labels = _labels(path, len(items))
    return EventDataset(
        name=path.name,
        shape=event_extent(map(read_array, items)),
        classes=tuple(str(label) for label in range(int(labels.max()) + 1)),
        labels=labels,
        synthetic=False,
        items=items,
        read=read_array,
    )


def labelled_folders(path: Path, split: str) -> list[Path]:
    """Return the folders of `.npy` files that stand for a class each; none in other layouts.

    DVS-Gesture has such folders too, one a person: they lie in folders of its own names.
    """
    folders = [
        folder
        for part in split_folders(path, "Train", "Test", split)
        for folder in sorted(part.iterdir())
        if folder.is_dir() and natural_order(folder, ".npy")
    ]
    return [] if any(f.name.lower().startswith(GESTURE_USER) for f in folders) else folders


def open_labelled_arrays(path: Path, folders: list[Path]) -> EventDataset:
    """Return the recordings of folders of `.npy` files, whose names are the classes.

    Classes are numbered in the order of their names, numbers by their value.

    Raises:
        EventsError: a file is damaged, pickled, or holds no event stream.
    """
    names = sorted({folder.name for folder in folders}, key=numbers_and_text)
    items = tuple(item for folder in folders for item in natural_order(folder, ".npy"))
    return EventDataset(
        name=path.name,
        shape=event_extent(map(read_array, items)),
        classes=tuple(names),
        labels=np.array([names.index(item.parent.name) for item in items], np.int64),
        synthetic=is_synthetic(path),
        items=items,
        read=read_array,
    )


def read_array(item: Path | Member) -> np.ndarray:
    """Return the events of an `.npy` file or of one array of an `.npz`."""
    array = read_npy_file(item) if isinstance(item, Path) else _member(item)
    return as_events(array, source=str(item))


def read_npy_file(path: Path) -> np.ndarray:
    """Return the array of an `.npy` file; nothing pickled is ever loaded.

    Raises:
        EventsError: the file can't be read, is damaged or holds Python objects.
    """
    return _load(path, str(path))


def _load(path: Path, source: str, key: str | None = None) -> np.ndarray:
    try:
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            if key is None:
                return np.lib.format.read_array(file, allow_pickle=False)
            with np.load(file, allow_pickle=False) as archive:
                return archive[key]
    except OSError as error:
        raise EventsError(
            f"{source}: can't be read ({error.strerror or error}): check the path"
        ) from error
    except (
        Exception
    ) as error:  # damaged headers raise whatever numpy's, zip's and zlib's parsers do
        reason = str(error).splitlines()[0] if str(error) else "it is cut off"
        raise EventsError(
            f"{source}: no plain numpy array ({reason}): save it as a structured array,"
            " without Python objects"
        ) from error


def _member(member: Member) -> np.ndarray:
    return _load(member.path, str(member), member.key)


def _keys(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
        raise EventsError(f"{path}: no readable .npz archive ({error}): save it again") from error
    return [name.removesuffix(".npy") for name in names]


def _labels(path: Path, n_items: int) -> np.ndarray:
    if path.suffix.lower() != ".npz" or path.is_dir() or LABELS not in _keys(path):
        return np.full(n_items, UNKNOWN, np.int64)
    labels = _member(Member(path, LABELS))
    if labels.shape != (n_items,) or labels.dtype.kind not in "iu" or (labels < UNKNOWN).any():
        raise EventsError(
            f"{path}: the array labels has shape {labels.shape} and dtype {labels.dtype}, it needs"
            f" one integer from -1 on for each of the {n_items} recordings"
        )
    return labels.astype(np.int64)


def event_extent(streams: Iterable[np.ndarray]) -> tuple[int, int, int]:
    """Return the smallest (channel, y, x) shape that holds every event."""
    largest = np.ones(3, np.int64)
    for stream in streams:
        sizes = [int(stream[name].max(initial=0)) + 1 for name in "pyx"]
        largest = np.maximum(largest, sizes)
    channels, height, width = largest.tolist()
    return channels, height, width
