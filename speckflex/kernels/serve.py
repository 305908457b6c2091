"""A core as a server: events wait while it is busy, and some are turned away."""

import numpy as np
from numba import njit

__all__ = ["serve"]


@njit(cache=True, nogil=True)
def serve(
    arrivals: np.ndarray,
    durations: np.ndarray,
    ring: np.ndarray,
    clock: np.ndarray,
    finishes: np.ndarray,
    drops: bool,  # noqa: FBT001 - numba takes it by position
) -> None:
    """Work out when a core is done with each event, first come, first served.

    An event that finds as many unfinished events before it as `ring` holds is turned away if
    `drops`; else it waits however long.

    Args:
        arrivals: `(n,) float64`, µs.
        durations: `(n,) float64`, µs of work for each event.
        ring: `(k,) float64`, when each of the last k events taken is done; changed in place.
        clock: `(4,) float64`, changed in place: when the last event is done (µs), how many
            were taken, work done (µs), the longest wait (µs).
        finishes: `(n,) float64`, written: µs, or NaN for an event turned away.
        drops: whether events are turned away.
    """
    taken = int(clock[1])
    for index in range(arrivals.size):
        arrival = arrivals[index]
        oldest = taken % ring.size
        if drops and taken >= ring.size and ring[oldest] > arrival:
            finishes[index] = np.nan
            continue
        start = max(arrival, clock[0])
        clock[0] = start + durations[index]
        clock[2] += durations[index]
        clock[3] = max(clock[3], start - arrival)
        ring[oldest] = clock[0]
        finishes[index] = clock[0]
        taken += 1
    clock[1] = taken
