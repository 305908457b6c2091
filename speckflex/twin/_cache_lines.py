"""Arrays for threads that write side by side."""

from __future__ import annotations

import numpy as np

__all__ = ["zeros_apart"]

CACHE_LINES = 128  # bytes: processors fetch lines of 64 in pairs


def zeros_apart(size: int, dtype: type[np.generic] | np.dtype) -> np.ndarray:
    """Return an array that shares no cache line with another one.

    Threads write to the arrays of their machines all the time. Where two such arrays meet in a
    line, as small layers' would, each write takes the line from the other processor.
    """
    n_bytes = int(size) * np.dtype(dtype).itemsize
    room = np.zeros(n_bytes + 2 * CACHE_LINES, np.uint8)
    start = -room.ctypes.data % CACHE_LINES
    return room[start : start + n_bytes].view(dtype)
