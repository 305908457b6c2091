"""The file formats that can be read, a row each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speckflex.data.dataset import UNKNOWN, EventDataset
from speckflex.data.formats._aedat4 import AEDAT4
from speckflex.data.formats._arrays import NPY, open_npz
from speckflex.data.formats._prophesee import PROPHESEE
from speckflex.errors import EventsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from speckflex.data.formats._file_format import FileFormat

__all__ = ["ARCHIVES", "FILE_FORMATS", "open_file"]

# One recording in a file. In a folder of several formats the first one here is read.
FILE_FORMATS: list[FileFormat] = [NPY, PROPHESEE, AEDAT4]

# Several recordings in a file: what opens it, by its suffix.
ARCHIVES: dict[str, Callable[[Path], EventDataset]] = {".npz": open_npz}


def open_file(path: Path) -> EventDataset:
    """Return the recordings of one file.

    Raises:
        EventsError: the file is damaged, of an unknown format, or its reader is not installed.
    """
    suffix = path.suffix.lower()
    if suffix in ARCHIVES:
        return ARCHIVES[suffix](path)
    for file_format in FILE_FORMATS:
        if suffix in file_format.suffixes:
            return EventDataset(
                name=path.name,
                shape=file_format.shape([path]),
                classes=(),
                labels=np.array([UNKNOWN], np.int64),
                synthetic=False,
                items=(path,),
                read=file_format.read,
            )
    known = [*(suffix for each in FILE_FORMATS for suffix in each.suffixes), *ARCHIVES]
    raise EventsError(
        f"{path}: files with the suffix {suffix or 'none'} can't be read: use one of"
        f" {', '.join(known)}"
    )
