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
    n_channels, row_neurons = layout["channels"], layout["row_neurons"]
    grouped = np.empty(layout["most_spikes"], np.int32)
    places = np.empty(n_channels + 1, np.int64)
    begin = 0
    for end in ends:
        if layout["grouping"] != BY_ROW:
            _group(spikes[begin:end], n_channels, grouped, places)
        else:
            while begin < end:
                row, stop = spikes[begin] // row_neurons, begin + 1
                while stop < end and spikes[stop] // row_neurons == row:
                    stop += 1
                _group(spikes[begin:stop], n_channels, grouped, places)
                begin = stop
        begin = end


@njit(cache=True, nogil=True, error_model="numpy")
def _group(spikes: np.ndarray, n_channels: int, grouped: np.ndarray, places: np.ndarray) -> None:
    """Sort spikes by channel in place, by insertion or by counting."""
    if spikes.size <= FEW:
        for index in range(1, spikes.size):
            spike = spikes[index]
            channel, place = spike % n_channels, index
            while place > 0 and spikes[place - 1] % n_channels > channel:
                spikes[place] = spikes[place - 1]
                place -= 1
            spikes[place] = spike
        return
    places[:] = 0
    for spike in spikes:
        places[spike % n_channels + 1] += 1
    for channel in range(n_channels):
        places[channel + 1] += places[channel]
    for spike in spikes:
        channel = spike % n_channels
        grouped[places[channel]] = spike
        places[channel] += 1
    spikes[:] = grouped[: spikes.size]
