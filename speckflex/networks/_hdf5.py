"""HDF5 files: checked before the library follows what they say, and named by what they hold."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from speckflex._support.hdf5 import Hdf5Guard
from speckflex._support.text import first_line, shown
from speckflex.errors import FileFormatError
from speckflex.networks._limits import MAX_UNPACKED_BYTES

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["damaged_hdf5", "hdf5_content", "text_of"]

GUARD = Hdf5Guard(FileFormatError, "export it again", MAX_UNPACKED_BYTES)
# Of a group with more members the first ones say what it is.
MEMBERS_READ = 50
# The groups of event recordings: DSEC and ESIM, M3ED, Prophesee's, SHD.
EVENT_GROUPS = {"events", "prophesee", "CD", "spikes"}


def hdf5_content(path: Path) -> str:
    """Return what an HDF5 file holds, as a key of `file_kinds.HDF5_KINDS`; "" where unknown.

    Raises:
        FileFormatError: the file is damaged.
    """
    try:
        GUARD.check_heaps(path)
        with h5py.File(path, "r") as file:
            return _content(file)
    except FileFormatError:
        raise
    except Exception as error:  # HDF5 raises anything on a damaged file
        raise damaged_hdf5(path, error) from error


def _content(file: h5py.File) -> str:
    members, attributes = set(islice(file, MEMBERS_READ)), set(islice(file.attrs, MEMBERS_READ))

    def says(attribute: str, text: str) -> bool:
        return attribute in attributes and text_of(file.attrs[attribute]) == text

    signs = {
        "nir": "node" in members,
        "nir data": says("__type__", "NIRGraphData"),
        "recording": says("content", "speckflex recording"),
        "keras": "model_config" in attributes,
        "keras weights": bool({"model_weights", "_layer_checkpoint_dependencies"} & members)
        or "layer_names" in attributes
        or {"layers", "vars"} <= members,
        "lava": "layer" in members,
        "events": bool(EVENT_GROUPS & members),
    }
    return next((content for content, sign in signs.items() if sign), "")


def text_of(value: Any) -> str | None:
    """Return a text that h5py gives as bytes, str or an array with one of them; else None."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value) if isinstance(value, str) else None


def damaged_hdf5(path: Path, error: BaseException) -> FileFormatError:
    """Return the error for a file that HDF5 can't read."""
    return FileFormatError(
        f"{path}: is damaged, HDF5 can't read it ({shown(first_line(error))}): export it again"
    )
