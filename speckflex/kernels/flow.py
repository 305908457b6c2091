"""Events on their way through all cores, block by block, where every core has one sender."""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from speckflex.kernels.integrate import CoreArrays, integrate
from speckflex.kernels.network import EVENTS_PER_CALL, Network
from speckflex.kernels.records import ALL, PASSING

__all__ = ["Source", "Stream", "flow"]

AT_ONCE = 8  # fewer than the lanes for which the room for spikes has an end left over


class Source(NamedTuple):
    """What goes into the cores: events of the input, or spikes of one core.

    Args:
        row: the source's among the cores; `Stream.sent` says n.
        addresses: `(n,) int32`.
        times: `(n,) int64`, µs; empty where times are not used.
    """

    row: Any
    addresses: Any
    times: Any


class Stream(NamedTuple):
    """What the cores are at; every array is changed in place.

    Args:
        sent: `(c + 1,) int64`, how many spikes of each core, or events of the input, are on
            their way.
        done: `(c,) int64`, how many of its sender's each core is done with.
        seen: `(c,) int64`, how many spikes each decimator has counted.
        memory: int16, potentials, the state in `CoreArrays`.
        counts: int64, monitored spikes of each neuron.
        spikes: int32, addresses, the spikes of each core that are on their way.
        times: int64, µs, of the source's event that each of them goes back to; empty where nobody
            asks.
        pending: scratch, see `CoreArrays`; one for all cores.
        ends: int32, scratch, as long as the longest queue.
    """

    sent: Any
    done: Any
    seen: Any
    memory: Any
    counts: Any
    spikes: Any
    times: Any
    pending: Any
    ends: Any


@njit(cache=True, nogil=True)
def flow(source: Source, last: int, watched: np.ndarray, network: Network, stream: Stream) -> int:
    """Run the spikes of a source through all cores behind it.

    A core runs until its room for spikes is full. They go through all cores behind it before it
    goes on. One call for nearly all of it: between two, a thread waits for Python's lock.

    Args:
        source: what goes in.
        last: the source's row at first, then what the last call returned.
        watched: `(c,) bool`, whose spikes to return with.
        network: what does not change; every core behind the source has one sender
            and keeps the kernel's order of output.
        stream: what does.

    Returns:
        the core to be called again with, whose spikes are ready to be looked at if it is watched;
        -1 when all is done.
    """
    core, n_events = last, 0
    while True:
        if core != source.row and network.cores[core]["monitors"] == ALL:
            _decimate(core, network, stream)
        for edge in range(network.cores[core]["first_edge"], network.cores[core]["end_edge"]):
            stream.done[network.edges[edge]["target"]] = 0
        core = _next(network, stream)
        if core < 0:
            return -1
        n_events += _run(core, source, network, stream)
        if network.cores[core]["monitors"] == PASSING:
            _decimate(core, network, stream)
        _count(core, network, stream)
        if (watched[core] and stream.sent[core]) or n_events > EVENTS_PER_CALL:
            return core


@njit(cache=True, nogil=True)
def _next(network: Network, stream: Stream) -> int:
    """Return the last core that has events waiting, -1 for none.

    Cores stand behind their senders. So all that a core sends is gone before it runs again.
    """
    for core in range(len(stream.done) - 1, -1, -1):
        sender = network.cores[core]["sender"]
        if sender >= 0 and stream.done[core] < stream.sent[sender]:
            return core
    return -1


@njit(cache=True, nogil=True)
def _run(core: int, source: Source, network: Network, stream: Stream) -> int:
    """Run a core on the events that wait, until it has no more room; return how many it ran."""
    row, begun = network.cores[core], stream.done[core]
    sender, first = row["sender"], network.cores[row["sender"]]["spikes"]
    codes = source.addresses if sender == source.row else stream.spikes[first:]
    # the input has no spikes, and its row says where the last core's end
    spikes = stream.spikes[row["spikes"] : network.cores[core + 1]["spikes"]]
    arrays = CoreArrays(
        network.routes[row["routes"] :], network.row_spans, network.column_spans,
        network.weights[row["weights"] :], stream.memory[row["memory"] :], network.layout[core],
        network.rule[core], stream.pending,
    )  # fmt: skip
    done, n_spikes = integrate(codes[: stream.sent[sender]], begun, arrays, spikes, stream.ends)
    stream.done[core], stream.sent[core] = done, n_spikes
    ends = stream.ends[begun:done]
    if len(stream.times):
        times = source.times[begun:done]
        if sender != source.row:
            times = stream.times[first + begun : first + done]
        _inherit(times, ends, stream.times[row["spikes"] :])
    return done - begun


@njit(cache=True, nogil=True)
def _inherit(times_of_events: np.ndarray, ends: np.ndarray, times: np.ndarray) -> None:
    """Write for each spike the time of the event that caused it; there is room for some more."""
    spike = 0
    for event in range(ends.size):
        time = times_of_events[event]
        # a few without a question: how many spikes an event has is as good as random
        for offset in range(AT_ONCE):
            times[spike + offset] = time
        spike += AT_ONCE
        while spike < ends[event]:
            times[spike] = time
            spike += 1
        spike = ends[event]


@njit(cache=True, nogil=True)
def _decimate(core: int, network: Network, stream: Stream) -> None:
    """Keep one of so many of a core's spikes."""
    row, spikes, times = network.cores[core], stream.spikes, stream.times
    ratio, first, n_passing = row["ratio"], row["spikes"], 0
    if ratio == 1:
        return
    seen = stream.seen[core]
    for spike in range(first, first + stream.sent[core]):
        if seen % ratio == row["passing"]:
            spikes[first + n_passing] = spikes[spike]
            if len(times):
                times[first + n_passing] = times[spike]
            n_passing += 1
        seen += 1
    stream.seen[core], stream.sent[core] = seen, n_passing


@njit(cache=True, nogil=True)
def _count(core: int, network: Network, stream: Stream) -> None:
    first, counts = network.cores[core]["spikes"], stream.counts[network.cores[core]["counts"] :]
    for spike in stream.spikes[first : first + stream.sent[core]]:
        counts[spike] += 1
