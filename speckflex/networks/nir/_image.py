"""HDF5 files made in memory, to be written whole or not at all."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import h5py

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["hdf5_image"]


def hdf5_image(fill: Callable[[h5py.File], None]) -> bytes:
    """Return the bytes of an HDF5 file that `fill` has filled.

    In memory, because HDF5 may end the process where a disk is full.
    """
    # HDF5 shares files of one name among threads.
    name = f"graph-{secrets.token_hex(8)}"
    with h5py.File(name, "w", driver="core", backing_store=False) as file:
        fill(file)
        file.flush()
        return file.id.get_file_image()
