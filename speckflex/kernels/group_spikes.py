"""Spikes of each event grouped by channel, for orders in which the channel is no inner loop."""

import numpy as np
from numba import njit

from speckflex.kernels.records import BY_ROW

__all__ = ["group_spikes"]

# Up to so many spikes are inserted one by one; more are counted by channel first.
FEW = 24


@njit(cache=True, nogil=True, error_model="numpy")
def group_spikes(spikes: np.ndarray, ends: np.ndarray, layout: np.void) -> None:
    """Sort the spikes of each event, or of each row of it, by channel; equals keep their order.

    Args:
        spikes: int32, addresses, the channel fastest, rising in each event; changed in place.
        ends: `(n,) int32`, where the spikes of each event end; the first one's begin at 0.
        layout: a LAYOUT; its grouping says what is sorted.
    """
    # 32 bits, unsigned: a wider division takes three times as long
    n_channels, row_neurons = np.uint32(layout["channels"]), np.uint32(layout["row_neurons"])
    scratch = np.empty((2, layout["most_spikes"]), np.int32)
    places = np.empty(layout["channels"] + 1, np.int64)
    by_row, begin = layout["grouping"] == BY_ROW, 0
    for end in ends:
        while begin < end:
            stop = end
            if by_row:
                row, stop = np.uint32(spikes[begin]) // row_neurons, begin + 1
                while stop < end and np.uint32(spikes[stop]) // row_neurons == row:
                    stop += 1
            if stop - begin <= FEW:
                _insert(spikes, begin, stop, n_channels)
            else:
                _count(spikes, begin, stop, n_channels, scratch, places)
            begin = stop


@njit(cache=True, nogil=True, error_model="numpy")
def _insert(spikes: np.ndarray, begin: int, stop: int, n_channels: np.uint32) -> None:
    """Sort few spikes by channel in place."""
    for index in range(begin + 1, stop):
        spike = spikes[index]
        channel, place = np.uint32(spike) % n_channels, index
        while place > begin and np.uint32(spikes[place - 1]) % n_channels > channel:
            spikes[place] = spikes[place - 1]
            place -= 1
        spikes[place] = spike


@njit(cache=True, nogil=True, error_model="numpy")
def _count(
    spikes: np.ndarray,
    begin: int,
    stop: int,
    n_channels: np.uint32,
    scratch: np.ndarray,
    places: np.ndarray,
) -> None:
    """Sort many spikes by channel in place: count each channel's, then put each in its place."""
    own, channels = scratch[0], scratch[1]
    places[:] = 0
    for index in range(stop - begin):
        spike = spikes[begin + index]
        channel = np.uint32(spike) % n_channels
        own[index], channels[index] = spike, channel
        places[channel + 1] += 1
    place = begin
    for channel in range(n_channels):
        place += places[channel]
        places[channel] = place
    for index in range(stop - begin):
        channel = channels[index]
        spikes[places[channel]] = own[index]
        places[channel] += 1
