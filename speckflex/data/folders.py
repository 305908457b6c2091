"""What the layouts of data sets have in common: splits, order, and the mark of synthetic data."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from speckflex.errors import EventsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

__all__ = [
    "SPLITS",
    "is_synthetic",
    "mark_synthetic",
    "natural_order",
    "numbers_and_text",
    "read_bytes",
    "split_folders",
    "synthetic_mark",
    "write_split",
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
    """Return the folders that hold a split, `folder` itself where it is not divided.

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


def natural_order(folder: Path, suffix: str) -> list[Path]:
    """Return the files of a folder with a suffix, numbers in their names in numeric order."""
    files = (path for path in folder.iterdir() if path.suffix.lower() == suffix and path.is_file())
    return sorted(files, key=lambda path: numbers_and_text(path.name))


def mark_synthetic(folder: Path, settings: dict[str, Any]) -> None:
    """Write the mark that says a folder's recordings are simulated, and how."""
    text = json.dumps(settings, indent=2, sort_keys=True) + "\n"
    (folder / MARK).write_text(text, encoding="utf-8")


def synthetic_mark(folder: Path) -> dict[str, Any] | None:
    """Return the settings of a simulated folder, or None where it has no (readable) mark."""
    try:
        return json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def is_synthetic(folder: Path) -> bool:
    """Return whether a folder, the one around it, or one in it is marked as simulated."""
    return any(
        (place / MARK).is_file()
        for place in (folder, folder.resolve().parent, *(p for p in folder.iterdir() if p.is_dir()))
    )


def write_split(
    folder: Path, settings: dict[str, Any], recordings: Iterable[tuple[str, Callable[[Path], None]]]
) -> None:
    """Write a simulated split, unless it is there already, complete and of the same settings.

    Args:
        folder: of the split.
        settings: of the simulation, kept in the mark.
        recordings: the path of each inside `folder`, and what writes it there.

    Raises:
        EventsError: the folder can't be written to.
    """
    if synthetic_mark(folder) == settings:
        return
    try:
        for name, write in recordings:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path)
        mark_synthetic(folder, settings)  # last: a folder without it is made again
    except OSError as error:
        raise EventsError(
            f"{folder}: can't be written ({error.strerror or error}): choose another folder"
        ) from error


def numbers_and_text(name: str) -> list[tuple[int, int, str]]:
    """Return a key to sort names by, the numbers in them by their value."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part.lower()) for part in parts]
