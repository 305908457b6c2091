"""A core whose two engines take events in turn, so that one event may overtake another."""

import numpy as np
from numba import njit

from speckflex.kernels.integrate import CoreArrays, integrate

__all__ = ["N_ENGINES", "integrate_parallel"]

N_ENGINES = 2


@njit(cache=True, nogil=True)
def integrate_parallel(
    codes: np.ndarray,
    arrivals: np.ndarray,
    durations: np.ndarray,
    spike_duration: float,
    finishes: np.ndarray,
    turns: np.ndarray,
    order: np.ndarray,
    core: CoreArrays,
    spikes: np.ndarray,
    ends: np.ndarray,
) -> tuple[int, int]:
    """Run events in the order in which two engines begin them.

    The engines take the events in turn and work through their own, first come, first served.
    An event updates its neurons when its engine begins it, whole, before any that begins later.

    Args:
        codes: `(n,) int32`, rows of the routes, one per event.
        arrivals: `(n,) float64`, µs, ascending.
        durations: `(m,) float64`, µs that an event takes on each route, without its spikes.
        spike_duration: µs that each of its spikes adds.
        finishes: `(N_ENGINES,) float64`, µs, when each engine is done; changed in place.
        turns: `(N_ENGINES + 1,) int64`, changed in place: the next event of each engine, and
            how many events are done.
        order: `(n,) int64`, written: the events in the order they were begun.
        core: its arrays.
        spikes: see `integrate`.
        ends: see `integrate`, in the order of beginning.

    Returns:
        how many events are done since the first call for these events, and spikes written.
    """
    n_spikes = 0
    while turns[N_ENGINES] < codes.size:
        engine, begin = _next_engine(arrivals, finishes, turns)
        event, place = turns[engine], turns[N_ENGINES]
        taken, n_new = integrate(
            codes[event : event + 1],
            0,
            core,
            spikes[n_spikes:],
            ends[place : place + 1],
        )
        if not taken:
            break
        n_spikes += n_new
        ends[place] = n_spikes
        order[place] = event
        finishes[engine] = begin + durations[codes[event]] + spike_duration * n_new
        turns[engine] += N_ENGINES
        turns[N_ENGINES] += 1
    return turns[N_ENGINES], n_spikes


@njit(cache=True, nogil=True)
def _next_engine(
    arrivals: np.ndarray, finishes: np.ndarray, turns: np.ndarray
) -> tuple[int, float]:
    """Return which engine begins its next event first, and when (µs)."""
    engine, begin = -1, np.inf
    for candidate in range(N_ENGINES):
        if turns[candidate] < arrivals.size:
            free = max(arrivals[turns[candidate]], finishes[candidate])
            if free < begin:
                engine, begin = candidate, free
    return engine, float(begin)
