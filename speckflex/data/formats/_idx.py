"""IDX, the format of MNIST's images and labels."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path

import numpy as np

from speckflex._support.text import first_line
from speckflex.data._folders import read_bytes
from speckflex.errors import EventsError

__all__ = ["read_idx"]

UNSIGNED_BYTE = 8
# MNIST has 47 MB; a small gzip file can unpack to any size.
MAX_BYTES = 2**30


def read_idx(path: str | Path) -> np.ndarray:
    """Return the array of an IDX file of bytes, gzipped or not.

    Two zero bytes, the type (8: unsigned bytes), the number of axes, each axis as a big-endian
    32-bit integer, then the values (Y. LeCun, "The MNIST database").

    Raises:
        EventsError: the file can't be read, is no IDX file of bytes, or is cut off.
    """
    path = Path(path)
    raw = read_bytes(path)
    if raw[:2] == b"\x1f\x8b":
        try:
            with gzip.open(io.BytesIO(raw)) as file:
                raw = file.read(MAX_BYTES)
        except (OSError, EOFError, zlib.error) as error:
            raise EventsError(
                f"{path}: damaged gzip file ({first_line(error)}): copy the file again"
            ) from error
    n_axes = raw[3] if len(raw) > 3 else 0
    if raw[:3] != bytes([0, 0, UNSIGNED_BYTE]) or not n_axes or len(raw) < 4 + 4 * n_axes:
        raise EventsError(
            f"{path}: begins with {raw[:4].hex(' ') or 'nothing'}, an IDX file of bytes begins"
            " with 00 00 08 and the number of axes: give a file as MNIST has them"
        )
    shape = tuple(int(size) for size in np.frombuffer(raw, ">u4", n_axes, 4))
    body = np.frombuffer(raw, np.uint8, offset=4 + 4 * n_axes)
    expected = int(np.prod(shape, dtype=object))
    if body.size != expected:
        raise EventsError(
            f"{path}: holds {body.size} values from byte {4 + 4 * n_axes} on, its header names"
            f" {expected} (shape {shape}): copy the file again"
        )
    return body.reshape(shape)
