"""Counts of events by bins of time, as floats."""

import numpy as np
from numba import njit

__all__ = ["bin_spikes"]


@njit(cache=True, nogil=True)
def bin_spikes(
    times: np.ndarray,
    channels: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    start: int,
    length: int,
    bins: np.ndarray,
) -> None:
    """Add the events of one sample to its bins.

    Args:
        times: `(n,) int64`, µs.
        channels: `(n,) int64`, inside the map.
        rows: `(n,) int64`, y, inside the map.
        columns: `(n,) int64`, x, inside the map.
        start: µs, where the first bin begins; what comes before counts in the first bin.
        length: µs a bin, at least 1; what comes after the last bin counts in it.
        bins: `(bin, channel, y, x) float32`, added to; exact below 2^24.
    """
    last = bins.shape[0] - 1
    for index in range(times.size):
        place = min(max((times[index] - start) // length, 0), last)
        bins[place, channels[index], rows[index], columns[index]] += np.float32(1)
