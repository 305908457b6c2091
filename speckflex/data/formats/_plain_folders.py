"""Folders of recording files: all in one folder, or a folder for each class."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from speckflex.data._folders import is_synthetic, natural_order, numbers_and_text, split_folders
from speckflex.data.formats._files import FILE_FORMATS, known_suffixes
from speckflex.data.formats._whole import dataset_of
from speckflex.errors import EventsError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from speckflex.data.dataset import EventDataset
    from speckflex.data.formats._file_format import FileFormat
    from speckflex.data.formats._reading import Reading

__all__ = ["is_class_folder", "is_flat_folder", "open_class_folder", "open_flat_folder"]


def is_flat_folder(folder: Path) -> bool:
    """Return whether recordings lie in `folder` itself."""
    return bool(_recordings([folder])[1])


def open_flat_folder(folder: Path, split: str, reading: Reading) -> EventDataset:
    """Return the recordings in a folder, with the labels in the files if all have some.

    Such a folder has no splits.

    Raises:
        EventsError: a file is damaged.
    """
    file_format, paths = _recordings([folder])
    return dataset_of(folder.name, file_format, paths, reading)


def is_class_folder(folder: Path) -> bool:
    """Return whether recordings lie in folders inside `folder`, or inside its Train and Test."""
    return bool(_recordings(_class_folders(folder, "all"))[1])


def open_class_folder(folder: Path, split: str, reading: Reading) -> EventDataset:
    """Return the recordings in folders whose names are the classes.

    Classes are numbered in the order of their names, numbers by their value, and in the same
    way for each split.

    Args:
        folder: has `Train` and `Test` with a folder for each class in them, or has the folders
            of the classes itself (then `split` has no effect).
        split: train, test or all.
        reading: what the files leave open.

    Raises:
        EventsError: the split has no recording, or a file is damaged.
    """
    file_format, paths = _recordings(_class_folders(folder, split))
    _, all_paths = _recordings(_class_folders(folder, "all"))
    if not paths:
        other = "train" if split == "test" else "test"
        raise EventsError(
            f"{folder}: has no recording for the split {split}, but {len(all_paths)} for the split"
            f" {other}: use --split {other}, or add recordings"
        )
    names = sorted({path.parent.name for path in all_paths}, key=numbers_and_text)
    dataset = dataset_of(
        folder.name,
        file_format,
        paths,
        reading,
        label_of=lambda path: names.index(path.parent.name),
        classes=names,
    )
    return replace(dataset, synthetic=is_synthetic(folder))


def _class_folders(folder: Path, split: str) -> list[Path]:
    parts = split_folders(folder, "Train", "Test", split)
    return [inner for part in parts for inner in sorted(part.iterdir()) if inner.is_dir()]


def _recordings(folders: Iterable[Path]) -> tuple[FileFormat, list[Path]]:
    """Return the first format of which there are files, and these, by folder and by number."""
    known = known_suffixes()
    paths = [path for folder in folders for path in natural_order(folder, *known)]
    for file_format in FILE_FORMATS:
        chosen = [path for path in paths if path.suffix.lower() in file_format.suffixes]
        if chosen:
            return file_format, chosen
    return FILE_FORMATS[0], []
