"""A core whose two engines take events in turn, so that one event may overtake another."""

import numpy as np
from numba import njit

from speckflex.kernels.integrate import CoreArrays, integrate

__all__ = ["ENGINE", "N_ENGINES", "integrate_parallel"]

N_ENGINES = 2
# The state of an engine.
ENGINE = np.dtype(
    [
        ("next", np.int64),  # event
        ("free", np.float64),  # µs, when it is done with the event before
    ],
    align=True,
)


@njit(cache=True, nogil=True)
def integrate_parallel(
    codes: np.ndarray,
    start: int,
    arrivals: np.ndarray,
    durations: np.ndarray,
    spike_duration: float,
    engines: np.ndarray,
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
        start: how many events are done.
        arrivals: `(n,) float64`, µs, ascending.
        durations: `(m,) float64`, µs that an event takes on each route, without its spikes.
        spike_duration: µs that each of its spikes adds.
        engines: `(N_ENGINES,) ENGINE`, changed in place.
        order: `(n,) int64`, written: the events in the order they were begun.
        core: its arrays.
        spikes: see `integrate`.
        ends: see `integrate`, in the order of beginning.

    Returns:
        how many events are done now, and spikes written.
    """
    n_spikes, place = 0, start
    while place < codes.size:
        number, begin = _next_engine(arrivals, engines)
        engine = engines[number]
        event = engine["next"]
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
        engine["free"] = begin + durations[codes[event]] + spike_duration * n_new
        engine["next"] += N_ENGINES
        place += 1
    return place, n_spikes


@njit(cache=True, nogil=True)
def _next_engine(arrivals: np.ndarray, engines: np.ndarray) -> tuple[int, float]:
    """Return which engine begins its next event first, and when (µs)."""
    first, begin = -1, np.inf
    for number in range(N_ENGINES):
        engine = engines[number]
        if engine["next"] < arrivals.size:
            ready = max(arrivals[engine["next"]], engine["free"])
            if ready < begin:
                first, begin = number, ready
    return first, float(begin)
