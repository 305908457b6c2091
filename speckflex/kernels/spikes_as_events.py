"""Spikes by address as records of an event array."""

import numpy as np
from numba import njit

__all__ = ["write_events"]


@njit(cache=True, nogil=True)
def write_events(
    addresses: np.ndarray,
    times: np.ndarray,
    columns: np.ndarray,
    rows: np.ndarray,
    channels: np.ndarray,
    events: np.ndarray,
) -> None:
    """Write one event per spike.

    Args:
        addresses: `(n,) int32`, in range of the next three.
        times: `(n,) int64`, µs.
        columns: `(m,) int32`, x of each address.
        rows: `(m,) int32`, y.
        channels: `(m,) int32`.
        events: `(n,)` event array, written.
    """
    for spike in range(addresses.size):
        address = np.uint32(addresses[spike])
        events[spike]["t"] = times[spike]
        events[spike]["x"] = columns[address]
        events[spike]["y"] = rows[address]
        events[spike]["p"] = channels[address]
