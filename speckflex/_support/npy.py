"""Numpy's file format, read only where the values that a header claims are there."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from speckflex._support.text import first_line

if TYPE_CHECKING:
    import zipfile

__all__ = ["read_npy", "read_npz_member"]

# Deflate packs at most 1032 : 1. Events and weights pack less than 100 : 1; zeros alone pack more.
MOST_PACKED = 100
ALWAYS_ALLOWED_BYTES = 2**28
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_npy(file: BinaryIO, size: int) -> np.ndarray:
    """Return the array of an `.npy` file; nothing pickled is ever loaded.

    Args:
        file: at the beginning of the header.
        size: bytes from there to the end of the file.

    Raises:
        ValueError: the header is damaged, names Python objects, or claims other than `size` bytes.
    """
    begin = file.tell()
    version = np.lib.format.read_magic(file)
    if version in HEADERS:
        try:
            shape, _, dtype = HEADERS[version](file)
        except Exception as error:  # numpy's parser raises anything on a damaged header
            raise ValueError(first_line(error)) from error
        stored = size - (file.tell() - begin)
        claimed = math.prod(shape) * dtype.itemsize
        # a pickle has no stated length, and read_array refuses it
        if not dtype.hasobject and (claimed > stored or min(shape, default=0) < 0):
            raise ValueError(
                f"its header claims {claimed} bytes of shape {shape}, {stored} are there"
            )
    elif size > ALWAYS_ALLOWED_BYTES:
        raise ValueError(f"format {version} in a file of {size} bytes")
    file.seek(begin)
    return np.lib.format.read_array(file, allow_pickle=False)


def read_npz_member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Return an array of an `.npz` file.

    Args:
        archive: the file.
        name: of the array, without the suffix .npy.

    Raises:
        ValueError: as for `read_npy`, or the array unpacks to far more than it takes in the file.
        KeyError: there is no such array.
    """
    member = archive.getinfo(f"{name}.npy")
    most = max(ALWAYS_ALLOWED_BYTES, MOST_PACKED * member.compress_size)
    if member.file_size > most:
        raise ValueError(
            f"{member.compress_size} bytes that unpack to {member.file_size}, more than"
            f" {MOST_PACKED} times as many"
        )
    with archive.open(member) as file:
        content = file.read(member.file_size)
    return read_npy(io.BytesIO(content), len(content))
