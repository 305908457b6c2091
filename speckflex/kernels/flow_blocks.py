"""Events on their way through all cores, block by block, where every core has one sender."""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from speckflex.kernels.integrate import CoreArrays, integrate
from speckflex.kernels.joined_cores import EVENTS_PER_CALL, JoinedCores
from speckflex.kernels.records import ALL, PASSING

__all__ = ["PROGRESS", "FlowState", "Inflow", "flow_blocks"]

# More of a core's spikes are read at once, as long as they are in a processor's second cache.
MOST_UNREAD = 2**10
AT_ONCE = 8  # fewer than the lanes for which the room for spikes has an end left over

# How far a core, or the input, has come.
PROGRESS = np.dtype(
    [
        ("sent", np.int64),  # its spikes, or the input's events, that are on their way
        ("done", np.int64),  # events of its sender that it is done with
        ("unread", np.int64),  # its spikes that the caller must read before it runs again
        ("watched", np.bool_),  # the caller reads its spikes
    ],
    align=True,
)


class Inflow(NamedTuple):
    """What goes into the cores: events of the input, or spikes of one core.

    Args:
        row: the source's among the cores; its progress says n.
        addresses: `(n,) int32`.
        times: `(n,) int64`, µs; empty if times are not used.
    """

    row: Any
    addresses: Any
    times: Any


class FlowState(NamedTuple):
    """The state of all cores; every array is changed in place.

    Args:
        progress: `(c + 1,) PROGRESS`; the last row is the input's.
        seen: `(c,) int64`, how many spikes each decimator has counted.
        memory: int16, potentials, the state in `CoreArrays`.
        counts: int64, monitored spikes of each neuron.
        spikes: int32, addresses, the spikes of each core that are on their way.
        times: int64, µs, of the source's event that each of them goes back to; empty if times are
            not used.
        pending: scratch, see `CoreArrays`; one for all cores.
        ends: int32, scratch, as long as the longest queue.
    """

    progress: Any
    seen: Any
    memory: Any
    counts: Any
    spikes: Any
    times: Any
    pending: Any
    ends: Any


@njit(cache=True, nogil=True)
def flow_blocks(source: Inflow, last: int, joined: JoinedCores, state: FlowState) -> int:
    """Run the spikes of a source through all cores behind it.

    A core runs until its room for spikes is full. They go through all cores behind it before it
    goes on. One call does as much as it can: a call takes its time, and after it a thread waits
    for Python's lock.

    Args:
        source: what goes in.
        last: the source's row at first, then what the last call returned.
        joined: what does not change; every core behind the source has one sender.
        state: what does.

    Returns:
        the core to call again with, once all that is unread has been read; -1 when all is done.
    """
    progress, core, n_events = state.progress, last, 0
    while True:
        if core != source.row and _thins_what_is_read(core, joined, progress):
            _decimate(core, joined, state)
        for edge in range(joined.cores[core]["first_edge"], joined.cores[core]["end_edge"]):
            progress[joined.edges[edge]["target"]]["done"] = 0
        following = _next(joined, progress)
        if following < 0:
            return -1
        if progress[following]["unread"]:
            return core
        core = following
        n_events += _run(core, source, joined, state)
        _monitor(core, joined, state)
        most_unread = 0 if _thins_what_is_read(core, joined, progress) else MOST_UNREAD
        if progress[core]["unread"] > most_unread or n_events > EVENTS_PER_CALL:
            return core


@njit(cache=True, nogil=True)
def _thins_what_is_read(core: int, joined: JoinedCores, progress: np.ndarray) -> bool:
    """Return whether a core's decimator may work only after the caller has read its spikes."""
    row = joined.cores[core]
    return progress[core]["watched"] and row["monitors"] == ALL and row["ratio"] > 1


@njit(cache=True, nogil=True)
def _next(joined: JoinedCores, progress: np.ndarray) -> int:
    """Return the last core that has events waiting, -1 for none.

    Each core comes after its sender. So all that a core sends has gone through before it runs
    again.
    """
    for core in range(len(progress) - 2, -1, -1):
        sender = joined.cores[core]["sender"]
        if sender >= 0 and progress[core]["done"] < progress[sender]["sent"]:
            return core
    return -1


@njit(cache=True, nogil=True)
def _run(core: int, source: Inflow, joined: JoinedCores, state: FlowState) -> int:
    """Run a core on the events that wait, until it has no more room; return how many it ran."""
    progress, row, begun = state.progress, joined.cores[core], state.progress[core]["done"]
    sender, first = row["sender"], joined.cores[row["sender"]]["spikes"]
    codes = source.addresses if sender == source.row else state.spikes[first:]
    # the input has no spikes, and its row says where the last core's end
    spikes = state.spikes[row["spikes"] : joined.cores[core + 1]["spikes"]]
    arrays = CoreArrays(
        joined.routes[row["routes"] :], joined.weights[row["weights"] :],
        state.memory[row["memory"] :], joined.layout, joined.rule, core, state.pending,
    )  # fmt: skip
    done, n_spikes = integrate(codes[: progress[sender]["sent"]], begun, arrays, spikes, state.ends)
    progress[core]["done"], progress[core]["sent"] = done, n_spikes
    ends = state.ends[begun:done]
    if len(state.times):
        times = source.times[begun:done]
        if sender != source.row:
            times = state.times[first + begun : first + done]
        _inherit(times, ends, state.times[row["spikes"] :])
    return done - begun


@njit(cache=True, nogil=True)
def _inherit(times_of_events: np.ndarray, ends: np.ndarray, times: np.ndarray) -> None:
    """Write for each spike the time of the event that caused it; there is room for some more."""
    spike = 0
    for event in range(ends.size):
        time = times_of_events[event]
        # the first few without a condition: a processor can't predict how many there are
        for offset in range(AT_ONCE):
            times[spike + offset] = time
        spike += AT_ONCE
        while spike < ends[event]:
            times[spike] = time
            spike += 1
        spike = ends[event]


@njit(cache=True, nogil=True)
def _decimate(core: int, joined: JoinedCores, state: FlowState) -> None:
    """Keep one of so many of a core's spikes."""
    row, spikes, times = joined.cores[core], state.spikes, state.times
    ratio, first, n_passing = row["ratio"], row["spikes"], 0
    if ratio == 1:
        return
    seen = state.seen[core]
    for spike in range(first, first + state.progress[core]["sent"]):
        if seen % ratio == row["passing"]:
            spikes[first + n_passing] = spikes[spike]
            if len(times):
                times[first + n_passing] = times[spike]
            n_passing += 1
        seen += 1
    state.seen[core], state.progress[core]["sent"] = seen, n_passing


@njit(cache=True, nogil=True)
def _monitor(core: int, joined: JoinedCores, state: FlowState) -> None:
    """Count the spikes that a core's monitor sees, and leave to its receivers what they get."""
    progress, monitors = state.progress, joined.cores[core]["monitors"]
    if monitors == PASSING:
        _decimate(core, joined, state)
    _count(core, joined, state)
    if progress[core]["watched"]:
        progress[core]["unread"] = progress[core]["sent"]
    if monitors == ALL and not _thins_what_is_read(core, joined, progress):
        _decimate(core, joined, state)


@njit(cache=True, nogil=True)
def _count(core: int, joined: JoinedCores, state: FlowState) -> None:
    """Add a core's spikes to the counts of its neurons."""
    first, counts = joined.cores[core]["spikes"], state.counts[joined.cores[core]["counts"] :]
    for spike in state.spikes[first : first + state.progress[core]["sent"]]:
        counts[spike] += 1
