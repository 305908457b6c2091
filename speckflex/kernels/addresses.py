"""Events by address, and counts by channel: the ways into a program and out of it.

Python's lock is kept: these calls take less time than to get it back from another thread.
"""

import numpy as np
from numba import njit

__all__ = ["address_events", "count_by_channel"]


@njit(cache=True)
def address_events(events: np.ndarray, n_channels: int, width: int, addresses: np.ndarray) -> None:
    """Write the address of each event in a (y, x, channel) order.

    Args:
        events: `(n,)` event array.
        n_channels: of the map.
        width: of the map, pixels.
        addresses: `(n,) int32`, written.
    """
    for index in range(events.size):
        pixel = np.int32(events[index]["y"]) * width + events[index]["x"]
        addresses[index] = pixel * n_channels + events[index]["p"]


@njit(cache=True)
def count_by_channel(
    counts: np.ndarray, shape: tuple[int, int, int], first: int, steps: tuple[int, int, int],
    by_channel: np.ndarray,
) -> int:  # fmt: skip
    """Write counts of a map in the order (channel, y, x), and return their sum.

    Args:
        counts: `(n,) int64`, by address: along three axes, the last one fastest.
        shape: places along these axes.
        first: where the count of the first address goes.
        steps: how far apart neighbours along each axis are there.
        by_channel: `(n,) int64`, written.
    """
    total = address = 0
    for outer in range(shape[0]):
        for inner in range(shape[1]):
            place = first + outer * steps[0] + inner * steps[1]
            for _ in range(shape[2]):
                by_channel[place] = counts[address]
                total += counts[address]
                address += 1
                place += steps[2]
    return total
