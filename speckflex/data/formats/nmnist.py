"""N-MNIST and N-Caltech101: folders, and the file format of five bytes an event."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from speckflex.data._folders import is_synthetic, natural_order, read_bytes, split_folders
from speckflex.data.dataset import EventDataset
from speckflex.data.formats._file_format import FileFormat
from speckflex.data.formats._reading import Reading
from speckflex.data.formats._whole import dataset_of
from speckflex.errors import EventsError
from speckflex.events.streams import make_events

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "BIN",
    "CLASSES",
    "SHAPE",
    "is_ncaltech_folder",
    "is_nmnist_folder",
    "open_ncaltech_folder",
    "open_nmnist_folder",
    "read_nmnist_file",
    "write_nmnist_file",
]

SHAPE = (2, 34, 34)
CLASSES = tuple("0123456789")
BYTES = 5
# N-Caltech101's images have different sizes, in front of a part of the sensor of at most this size.
NCALTECH_SIZE = (180, 240)
# Three of its 101 classes, which no other data set has together.
NCALTECH_CLASSES = {"accordion", "airplanes", "wild_cat"}
LAST_TIME = 2**23 - 1  # 23 bits of µs
OVERFLOW_Y = 240  # such an event is no spike: it adds 2^13 µs to all times from it on
OVERFLOW_TIME = 2**13


def read_nmnist_file(path: Path) -> np.ndarray:
    """Return the events of one N-MNIST recording, in file order.

    Five bytes an event: x, y, then from the highest bit one bit of polarity and 23 bits of
    time in µs; events at y = 240 mark an overflow of the time (Orchard et al. 2015 and the
    readers that came with it; the same events as `tonic.io.read_mnist_file`).

    Raises:
        EventsError: the file can't be read, is empty, ends inside an event, or has an address
            outside 34 x 34 pixels.
    """
    events = read_five_bytes(path)
    outside = (events["x"] >= SHAPE[2]) | (events["y"] >= SHAPE[1])
    if outside.any():
        index = int(outside.argmax())
        raise EventsError(
            f"{path}: event {index} is at x = {events['x'][index]}, y = {events['y'][index]},"
            f" N-MNIST has {SHAPE[2]} x {SHAPE[1]} pixels: give an N-MNIST recording"
        )
    return events


def read_five_bytes(path: Path) -> np.ndarray:
    """Return the events of a recording in N-MNIST's format, from a sensor of any size.

    N-Caltech101 has the same format.

    Raises:
        EventsError: the file can't be read or is cut off.
    """
    raw = np.frombuffer(read_bytes(path), np.uint8)
    if not raw.size or raw.size % BYTES:
        raise EventsError(
            f"{path}: has {raw.size} bytes, N-MNIST has {BYTES} for each event and at least one"
            f" event (the rest begins at byte {raw.size - raw.size % BYTES}): copy the file again"
        )
    x, y, high, middle, low = raw.reshape(-1, BYTES).astype(np.int64).T
    overflows = y == OVERFLOW_Y
    times = ((high & 127) << 16 | middle << 8 | low) + OVERFLOW_TIME * np.cumsum(overflows)
    return make_events(times, x, y, high >> 7)[~overflows]


def write_nmnist_file(path: Path, events: np.ndarray) -> None:
    """Write events in N-MNIST's format, without overflow events.

    Args:
        path: the file to write.
        events: `(n,)` structured, addresses inside (2, 34, 34), times below 2^23 µs.

    Raises:
        EventsError: a time does not fit into 23 bits.
    """
    times = events["t"]
    if times.size and not 0 <= times.min() <= times.max() <= LAST_TIME:
        raise EventsError(
            f"{path}: times from {times.min()} to {times.max()} µs don't fit in N-MNIST's format,"
            f" which holds 0 to {LAST_TIME} µs: cut the recording"
        )
    high = events["p"].astype(np.int64) << 7 | times >> 16
    columns = [events["x"], events["y"], high, times >> 8 & 255, times & 255]
    path.write_bytes(np.stack(columns, axis=1).astype(np.uint8).tobytes())


def is_nmnist_folder(folder: Path) -> bool:
    """Return whether `folder` has N-MNIST's layout: label folders, or Train and Test of them."""
    folders = [
        label_folder
        for part in split_folders(folder, "Train", "Test", "all")
        for _, label_folder in _label_folders(part)
    ]
    return any(natural_order(label_folder, ".bin") for label_folder in folders)


def open_nmnist_folder(folder: Path, split: str) -> EventDataset:
    """Return the recordings of a split, sorted by label and file name.

    Args:
        folder: has `Train` and `Test`, or is itself the folder of label folders 0..9 (then
            `split` has no effect). Upper and lower case are the same.
        split: train, test or all.

    Raises:
        EventsError: the split has no recording.
    """
    parts = split_folders(folder, "Train", "Test", split)
    labelled = [
        (path, label)
        for part in parts
        for label, label_folder in _label_folders(part)
        for path in natural_order(label_folder, ".bin")
    ]
    if not labelled:
        raise EventsError(
            f"{folder}: no recordings in N-MNIST's layout for the split {split}: add"
            " Train/<label>/<number>.bin or Test/<label>/<number>.bin, or <label>/<number>.bin"
        )
    paths, labels = zip(*labelled, strict=True)
    synthetic = is_synthetic(folder)
    return EventDataset(
        name="N-MNIST layout, synthetic" if synthetic else "N-MNIST",
        shape=SHAPE,
        classes=CLASSES,
        labels=np.array(labels, np.int64),
        synthetic=synthetic,
        items=paths,
        read=read_nmnist_file,
    )


def _label_folders(folder: Path) -> list[tuple[int, Path]]:
    if not folder.is_dir():
        return []
    found = [(int(path.name), path) for path in folder.iterdir() if path.name in CLASSES]
    return sorted(pair for pair in found if pair[1].is_dir())


def _bin_size(path: Path) -> tuple[int, int] | None:
    """Return N-MNIST's size where all events lie in it; other sensors are not stated."""
    events = read_five_bytes(path)
    inside = events["x"].max(initial=0) < SHAPE[2] and events["y"].max(initial=0) < SHAPE[1]
    return SHAPE[1:] if inside else None


BIN = FileFormat(suffixes=(".bin",), read=read_five_bytes, sensor_size=_bin_size)
NCALTECH = replace(BIN, sensor_size=lambda _path: NCALTECH_SIZE)


def is_ncaltech_folder(folder: Path) -> bool:
    """Return whether `folder` has the class folders of N-Caltech101, or a folder with them."""
    return _caltech_classes(folder) is not None


def open_ncaltech_folder(folder: Path, split: str) -> EventDataset:
    """Return all recordings of N-Caltech101, which has no splits.

    Raises:
        EventsError: there is no recording.
    """
    classes = _caltech_classes(folder) or folder
    names = sorted(path.name for path in classes.iterdir() if path.is_dir())
    paths = [path for name in names for path in natural_order(classes / name, ".bin")]
    if not paths:
        raise EventsError(
            f"{folder}: no recordings in N-Caltech101's layout: add <class>/image_<number>.bin"
        )
    return dataset_of(
        "N-Caltech101",
        NCALTECH,
        paths,
        Reading(),
        label_of=lambda path: names.index(path.parent.name),
        classes=names,
    )


def _caltech_classes(folder: Path) -> Path | None:
    """Return the folder of the class folders: `folder`, or Caltech101 in it."""
    return next(
        (
            place
            for place in (folder, folder / "Caltech101")
            if all((place / name).is_dir() for name in NCALTECH_CLASSES)
        ),
        None,
    )
