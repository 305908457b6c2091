"""What folders of recordings have in common: splits, file order, and the mark of synthetic data."""

from __future__ import annotations

import re
from pathlib import Path

from speckflex.errors import EventsError

__all__ = [
    "MARK",
    "SPLITS",
    "is_synthetic",
    "natural_order",
    "numbers_and_text",
    "read_bytes",
    "split_folders",
]

SPLITS = ("train", "test", "all")
MARK = "synthetic.json"  # lies in every folder that was simulated, with its settings


def read_bytes(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        EventsError: the file can't be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise EventsError(
            f"{path}: can't be read ({error.strerror}): check the path and its permissions"
        ) from error


def split_folders(folder: Path, train: str, test: str, split: str) -> list[Path]:
    """Return the folders that hold a split, or `folder` itself where it has no splits.

    Args:
        folder: the data set, or one split of it.
        train: the name of the folder of training data, in any case.
        test: the name of the folder of test data, in any case.
        split: train, test or all.
    """
    named = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_dir()}
    divided = [name for name in (train.lower(), test.lower()) if name in named]
    if not divided:
        return [folder]
    wanted = {"train": [train], "test": [test], "all": [train, test]}[split]
    return [named[name.lower()] for name in wanted if name.lower() in named]


def natural_order(folder: Path, *suffixes: str) -> list[Path]:
    """Return the files of a folder with given suffixes, by name, numbers in it by their value."""
    files = (path for path in folder.iterdir() if path.suffix.lower() in suffixes)
    return sorted(filter(Path.is_file, files), key=lambda path: numbers_and_text(path.name))


def is_synthetic(folder: Path) -> bool:
    """Return whether a folder, the one around it, or one in it is marked as simulated."""
    return any(
        (place / MARK).is_file()
        for place in (folder, folder.resolve().parent, *(p for p in folder.iterdir() if p.is_dir()))
    )


def numbers_and_text(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts names with the numbers in them by their value."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part.lower()) for part in parts]
