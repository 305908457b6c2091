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
def count_by_channel(counts: np.ndarray, by_channel: np.ndarray) -> int:
    """Write counts of a map in the order (channel, y, x), and return their sum.

    Args:
        counts: `(y * x * channel,) int64`, by address.
        by_channel: `(channel, y * x) int64`, written.
    """
    total = address = 0
    n_channels, n_pixels = by_channel.shape
    for pixel in range(n_pixels):
        for channel in range(n_channels):
            by_channel[channel, pixel] = counts[address]
            total += counts[address]
            address += 1
    return total
