"""The layouts of folders that can be read, a row each."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from speckflex.data.formats._pixel_sequences import is_idx_folder, open_idx_folder
from speckflex.data.formats._plain_folders import (
    is_class_folder,
    is_flat_folder,
    open_class_folder,
    open_flat_folder,
)
from speckflex.data.formats.dvs_gesture import is_gesture_folder, open_gesture_folder
from speckflex.data.formats.nmnist import (
    is_ncaltech_folder,
    is_nmnist_folder,
    open_ncaltech_folder,
    open_nmnist_folder,
)
from speckflex.errors import EventsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from speckflex.data.dataset import EventDataset
    from speckflex.data.formats._reading import Reading

__all__ = ["LAYOUTS", "FolderLayout", "open_folder"]


class FolderLayout(NamedTuple):
    """How the recordings of a data set lie in its folder.

    Attributes:
        contents: what the folder holds, for a message.
        recognises: returns whether a folder has this layout.
        open: returns the recordings of a split of a folder; takes a `Reading` too if `any_files`.
        any_files: whether the files may be of any format, and leave open what a `Reading` says.
    """

    contents: str
    recognises: Callable[[Path], bool]
    open: Callable[..., EventDataset]
    any_files: bool = False


# The first one that recognises a folder opens it.
LAYOUTS: list[FolderLayout] = [
    FolderLayout("ibmGestureTrain and ibmGestureTest", is_gesture_folder, open_gesture_folder),
    FolderLayout("Train and Test of N-MNIST", is_nmnist_folder, open_nmnist_folder),
    FolderLayout("the classes of N-Caltech101", is_ncaltech_folder, open_ncaltech_folder),
    FolderLayout("the IDX files of MNIST", is_idx_folder, open_idx_folder),
    FolderLayout("a folder of files for each class", is_class_folder, open_class_folder, True),
    FolderLayout("files of recordings", is_flat_folder, open_flat_folder, True),
]


def open_folder(folder: Path, split: str, reading: Reading) -> EventDataset:
    """Return the recordings of a folder, train, test or all of them.

    Raises:
        EventsError: the folder has no known layout, or a file of it is damaged.
    """
    for layout in LAYOUTS:
        if layout.recognises(folder):
            return _open(layout, folder, split, reading)
    contents = ", ".join(layout.contents for layout in LAYOUTS)
    raise EventsError(
        f"{folder}: holds no recordings in a known layout: give a folder that holds one of:"
        f" {contents}"
    )


def _open(layout: FolderLayout, folder: Path, split: str, reading: Reading) -> EventDataset:
    if layout.any_files:
        return layout.open(folder, split, reading)
    if reading.names or reading.sensor is not None:
        raise EventsError(
            f"{folder}: holds {layout.contents}, whose files have one sensor and one order of"
            " fields: leave --fields, --time-unit and --sensor out"
        )
    return layout.open(folder, split)
