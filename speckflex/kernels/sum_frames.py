"""Sums of neighbouring frames of counts, as floats, each count read once."""

import numpy as np
from numba import njit

__all__ = ["sum_frames"]


@njit(cache=True, nogil=True)
def sum_frames(frames: np.ndarray, sums: np.ndarray, boundaries: np.ndarray) -> None:
    """Fill `sums` with the frames of each group added up.

    Args:
        frames: `(batch, time, value)`, integers.
        sums: `(batch, group, value) float32`, filled; exact below 2^24.
        boundaries: `(group + 1,) int64`, where groups begin and end; none is empty.
    """
    for sample in range(frames.shape[0]):
        for group in range(sums.shape[1]):
            total = sums[sample, group]
            frame = frames[sample, boundaries[group]]
            for i in range(total.size):
                total[i] = np.float32(frame[i])
            for time in range(boundaries[group] + 1, boundaries[group + 1]):
                frame = frames[sample, time]
                for i in range(total.size):
                    total[i] += np.float32(frame[i])
