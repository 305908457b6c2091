"""The file formats that can be read, a row each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speckflex.data.formats._aedat4 import AEDAT4
from speckflex.data.formats._arrays import NPY, NPZ
from speckflex.data.formats._prophesee import PROPHESEE
from speckflex.data.formats._text import TEXT
from speckflex.data.formats._whole import dataset_of
from speckflex.errors import EventsError

if TYPE_CHECKING:
    from pathlib import Path

    from speckflex.data.dataset import EventDataset
    from speckflex.data.formats._file_format import FileFormat
    from speckflex.data.formats._reading import Reading

__all__ = ["FILE_FORMATS", "known_suffixes", "open_file"]

# In a folder of several formats the first one here is read.
FILE_FORMATS: list[FileFormat] = [NPY, NPZ, PROPHESEE, AEDAT4, TEXT]


def known_suffixes() -> list[str]:
    """Return the suffixes of all formats, in the order of the table."""
    return [suffix for file_format in FILE_FORMATS for suffix in file_format.suffixes]


def open_file(path: Path, reading: Reading) -> EventDataset:
    """Return the recordings of one file.

    Raises:
        EventsError: the file is damaged, of an unknown format, or its reader is not installed.
    """
    suffix = path.suffix.lower()
    for file_format in FILE_FORMATS:
        if suffix in file_format.suffixes:
            return dataset_of(path.name, file_format, [path], reading)
    raise EventsError(
        f"{path}: files with the suffix {suffix or 'none'} can't be read: use one of"
        f" {', '.join(known_suffixes())}"
    )
