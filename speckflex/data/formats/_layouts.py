"""The layouts of folders that can be read, a row each."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from speckflex._support.text import printable
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
from speckflex.data.images import SUFFIXES, is_image_folder
from speckflex.errors import EventsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from speckflex.data.dataset import EventDataset
    from speckflex.data.formats._reading import Reading

__all__ = ["LAYOUTS", "FolderLayout", "open_folder"]


MOST_LOOKED_INTO = 20  # folders inside one that is not known


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
    raise _unknown(folder)


def _unknown(folder: Path) -> EventsError:
    """Return what is in a folder of no known layout, and what would be known."""
    if is_image_folder(folder):
        return EventsError(
            f"{folder}: holds images, and recordings of events are needed: give recordings, or make"
            " some from the images with speckflex.data.simulate_image"
        )
    files = [path for path in folder.iterdir() if path.is_file()]
    inner = next(filter(_is_known, _some_folders(folder)), None)
    if inner is not None:
        remedy = f"give {inner}, which is known"
    elif any(path.suffix.lower() in SUFFIXES for path in files):
        remedy = "put its images into a folder for each class"
    else:
        contents = ", ".join(layout.contents for layout in LAYOUTS)
        remedy = (
            f"give a folder that holds one of: {contents}, the binary files of CIFAR, a folder of"
            " images for each class"
        )
    return EventsError(
        f"{folder}: holds neither recordings nor images in a known layout, but"
        f" {_contents(folder, files)}: {remedy}"
    )


def _some_folders(folder: Path) -> list[Path]:
    return sorted(filter(Path.is_dir, folder.iterdir()))[:MOST_LOOKED_INTO]


def _is_known(folder: Path) -> bool:
    return is_image_folder(folder) or any(layout.recognises(folder) for layout in LAYOUTS)


def _contents(folder: Path, files: list[Path]) -> str:
    """Return how many files of each kind lie in a folder, and how many folders."""
    kinds = Counter(printable(path.suffix.lower())[:12] or "no suffix" for path in files)
    parts = [f"{count} of {kind}" for kind, count in kinds.most_common(3)]
    n_folders = sum(path.is_dir() for path in folder.iterdir())
    words = [f"{len(files)} file{'s' * (len(files) != 1)} ({', '.join(parts)})"] if files else []
    if n_folders:
        words.append(f"{n_folders} folder{'s' * (n_folders != 1)}")
    return " and ".join(words) or "nothing"


def _open(layout: FolderLayout, folder: Path, split: str, reading: Reading) -> EventDataset:
    if layout.any_files:
        return layout.open(folder, split, reading)
    if reading.names or reading.sensor is not None:
        raise EventsError(
            f"{folder}: holds {layout.contents}, whose files have one sensor and one order of"
            " fields: leave --fields, --time-unit and --sensor out"
        )
    return layout.open(folder, split)
