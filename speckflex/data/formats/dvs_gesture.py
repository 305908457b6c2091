"""DVS-Gesture as tonic stores it: a folder for each user and light, an array for each label."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from speckflex.data._folders import is_synthetic, natural_order, split_folders
from speckflex.data.dataset import EventDataset
from speckflex.data.formats._arrays import read_array
from speckflex.errors import EventsError
from speckflex.events.streams import as_events, make_events

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "CLASSES",
    "MIRRORED",
    "SHAPE",
    "TEST",
    "TRAIN",
    "is_gesture_folder",
    "open_gesture_folder",
    "read_gesture_file",
    "write_gesture_file",
]

SHAPE = (2, 128, 128)
TRAIN, TEST = "ibmGestureTrain", "ibmGestureTest"
CLASSES = (
    "Hand clapping",
    "Right hand wave",
    "Left hand wave",
    "Right arm cw",
    "Right arm ccw",
    "Left arm cw",
    "Left arm ccw",
    "Arm roll",
    "Air drums",
    "Air guitar",
    "Other gestures",
)
# The class that each becomes when left and right are exchanged: right hand to left hand, cw to ccw.
MIRRORED = (0, 2, 1, 6, 5, 4, 3, 7, 8, 9, 10)
COLUMNS = "xypt"
TIME_UNIT = 1000  # µs: tonic's copy of the data set counts milliseconds


def read_gesture_file(path: Path) -> np.ndarray:
    """Return the events of one recording, in file order.

    The file is a plain array `(n, 4)` of x, y, p and t in milliseconds, as in
    `tonic.datasets.DVSGesture`. The times that are returned are in µs and begin at 0.

    Raises:
        EventsError: the file can't be read, is damaged or holds another array.
    """
    array = np.ascontiguousarray(read_array(path))
    if array.ndim != 2 or array.shape[1] != len(COLUMNS) or array.dtype.kind not in "biuf":
        raise EventsError(
            f"{path}: holds an array of shape {array.shape} and dtype {array.dtype}: save numbers"
            " of shape (events, 4), the columns x, y, p and t in milliseconds"
        )
    columns = array.view([(name, array.dtype) for name in COLUMNS])[:, 0]
    events = as_events(columns, source=str(path))
    times = (events["t"] - (events["t"].min() if events.size else 0)) * TIME_UNIT
    return make_events(times, events["x"], events["y"], events["p"])


def write_gesture_file(path: Path, events: np.ndarray) -> None:
    """Write events in the format of tonic's copy; times are cut to whole milliseconds."""
    columns = [events["x"], events["y"], events["p"], events["t"] // TIME_UNIT]
    np.save(path, np.stack(columns, axis=1).astype(np.int64), allow_pickle=False)


def is_gesture_folder(folder: Path) -> bool:
    """Return whether `folder` has DVS-Gesture's layout, or is one split of it."""
    return any(_recordings(part) for part in split_folders(folder, TRAIN, TEST, "all"))


def open_gesture_folder(folder: Path, split: str) -> EventDataset:
    """Return the recordings of a split, sorted by user, light and label.

    Args:
        folder: has `ibmGestureTrain` and `ibmGestureTest`, or is one of them (then `split`
            has no effect).
        split: train, test or all.

    Raises:
        EventsError: the split has no recording.
    """
    paths = [
        path for part in split_folders(folder, TRAIN, TEST, split) for path in _recordings(part)
    ]
    if not paths:
        raise EventsError(
            f"{folder}: no recordings in DVS-Gesture's layout for the split {split}: add"
            f" {TRAIN}/user01_light/<label>.npy or {TEST}/user24_light/<label>.npy"
        )
    synthetic = is_synthetic(folder)
    return EventDataset(
        name="DVS-Gesture layout, synthetic" if synthetic else "DVS-Gesture",
        shape=SHAPE,
        classes=CLASSES,
        labels=np.array([int(path.stem) for path in paths], np.int64),
        synthetic=synthetic,
        items=tuple(paths),
        read=read_gesture_file,
    )


def _recordings(folder: Path) -> list[Path]:
    users = sorted(path for path in folder.iterdir() if re.match(r"user\d+_", path.name))
    files = [path for user in users if user.is_dir() for path in natural_order(user, ".npy")]
    labels = {str(label) for label in range(len(CLASSES))}
    return [path for path in files if path.stem in labels]
