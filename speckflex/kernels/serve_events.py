"""Cores as servers with little room: each event is followed through all cores, with its times."""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from speckflex.kernels.integrate import CoreArrays, integrate
from speckflex.kernels.joined_cores import EVENTS_PER_CALL, JoinedCores
from speckflex.kernels.records import ALL, PASSING

__all__ = [
    "DROPS",
    "LOGGED",
    "SERVER",
    "STALLS",
    "STATE",
    "WAITS",
    "Servers",
    "ServiceState",
    "TimedInflow",
    "serve_events",
]

# What happens to an event that finds a core full: it waits in a queue without limit, it stays at
# its sender, which waits too, or it is dropped.
WAITS, STALLS, DROPS = 0, 1, 2

# What never changes of a server, besides its core.
SERVER = np.dtype(
    [
        ("ring", np.int64),  # where its own begins in the ring of all
        ("capacity", np.int64),  # events that have room, with the one in work
        ("when_full", np.int64),
    ],
    align=True,
)

# The state of a core, or of the input; times in µs.
STATE = np.dtype(
    [
        ("sender", np.int64),  # of the event in work
        ("spike", np.int64),  # spikes of that event that were begun to be sent
        ("n_spikes", np.int64),
        ("address", np.int64),  # of the last of them
        ("edge", np.int64),  # where it goes next
        ("ready", np.float64),  # when it could leave
        ("clock", np.float64),  # when it can leave
        ("free", np.float64),  # when the last event was done and its spikes gone
        ("kept", np.int64),  # its spikes are logged
        ("taken", np.int64),
        ("arrived", np.int64),
        ("dropped", np.int64),
        ("busy", np.float64),
        ("stalled", np.float64),
        ("longest_wait", np.float64),
        ("input_wait", np.float64),
        ("first", np.float64),
        ("last", np.float64),
    ],
    align=True,
)

# A spike that is kept.
LOGGED = np.dtype(
    [
        ("core", np.int32),
        ("address", np.int32),
        ("cause", np.int32),  # the place among the source's of what caused it
    ],
    align=True,
)


class Servers(NamedTuple):
    """What never changes of all servers, besides their cores.

    Args:
        rows: `(c,) SERVER`.
        durations: `(m,) float64`, µs of work for an event on each route; negative if the route
            leads nowhere.
    """

    rows: Any
    durations: Any


class ServiceState(NamedTuple):
    """The state of all cores; every array is changed in place.

    Args:
        state: `(c + 1,) STATE`.
        ring: float64, µs, when the last events that each core took were gone.
        memory: int16, potentials, the state in `CoreArrays`.
        counts: int64, monitored spikes of each neuron.
        seen: `(c + 1,) int64`, how many spikes each decimator has counted.
        pending: scratch, see `CoreArrays`; one for all cores.
        spikes: int32, scratch, the spikes of each core's event in work.
        log: `(k,) LOGGED`, written.
    """

    state: Any
    ring: Any
    memory: Any
    counts: Any
    seen: Any
    pending: Any
    spikes: Any
    log: Any


class TimedInflow(NamedTuple):
    """What goes into the cores: events of the input, or spikes of one core.

    Args:
        row: the source's among the cores and the state.
        addresses: `(n,) int32`.
        moments: `(n,) float64`, µs, the earliest at which each may leave.
    """

    row: Any
    addresses: Any
    moments: Any


@njit(cache=True, nogil=True)
def serve_events(
    source: TimedInflow,
    sender: int,
    joined: JoinedCores,
    servers: Servers,
    service: ServiceState,
) -> tuple[int, int]:
    """Follow the spikes of a source to the end of the network, depth first, with their times.

    Stops early when the log is full, or after many events so that an interrupt is noticed; called
    again with the sender it returned, it goes on.

    Args:
        source: what goes in; `n_spikes` in its state says n.
        sender: the source's row at first, then what the last call returned.
        joined: what does not change of the cores.
        servers: what does not change of them as servers.
        service: what does.

    Returns:
        the sender to go on with, -1 when all is done, and how many spikes are in the log.
    """
    # taken apart once: numba counts references at each use of a tuple's arrays
    cores, edges, routes, weights, layout, rule = joined
    rows, durations = servers
    origin, addresses, moments = source
    state, ring, memory, counts, seen, pending, spikes, log = service
    code, end = np.empty(1, np.int32), np.empty(1, np.int32)
    n_logged, n_events, entrance = 0, 0, len(cores) - 1
    while n_events < EVENTS_PER_CALL:
        core, row = cores[sender], state[sender]
        if row["edge"] < core["end_edge"]:
            edge = edges[row["edge"]]
            target, code[0] = edge["target"], row["address"] + edge["first_route"]
            row["edge"] += 1
            server, duration = rows[target], durations[code[0]]
            if _arrives(server, state[target], row, ring, duration, sender == entrance):
                core = cores[target]
                own = spikes[core["spikes"] :]
                arrays = CoreArrays(
                    routes, weights[core["weights"] :], memory[core["memory"] :],
                    layout, rule, target, pending,
                )  # fmt: skip
                _, n_spikes = integrate(code, 0, arrays, own, end)
                _begin(state[target], sender, n_spikes, core["end_edge"])
                sender, n_events = target, n_events + 1
        elif row["spike"] < row["n_spikes"]:
            if n_logged == len(log):
                return sender, n_logged
            if sender == origin:
                _set_out(row, moments[row["spike"]], addresses[row["spike"]])
            else:
                row["address"] = spikes[core["spikes"] + row["spike"]]
            row["spike"] += 1
            seen[sender] += 1
            if _leaves(core, row, seen[sender], counts):
                _log(log[n_logged], sender, row["address"], state[origin]["spike"] - 1)
                n_logged += 1
        elif sender == origin:
            return -1, n_logged
        else:
            _end(rows[sender], row, ring)
            sender = row["sender"]
    return sender, n_logged


@njit(cache=True, nogil=True)
def _arrives(
    server: np.ndarray,
    row: np.ndarray,
    sender: np.ndarray,
    ring: np.ndarray,
    duration: float,
    from_input: bool,  # noqa: FBT001 - numba takes it by position
) -> bool:
    """Let an event arrive at a core; return whether it is taken, and set when it is done."""
    if duration < 0:
        return False
    ready = sender["ready"]
    row["first"] = min(row["first"], ready) if row["arrived"] else ready
    row["last"] = max(row["last"], ready)
    row["arrived"] += 1
    # the core has room once it is done with the event that is `capacity` places before this
    room = 0.0
    if server["when_full"] != WAITS and row["taken"] >= server["capacity"]:
        room = ring[server["ring"] + row["taken"] % server["capacity"]]
    if room > sender["clock"]:
        if server["when_full"] == DROPS:
            row["dropped"] += 1
            return False
        sender["stalled"] += room - sender["clock"]
        sender["clock"] = room
        # this core did not cause the delay of an event that another destination held up
        if from_input:
            row["input_wait"] = max(row["input_wait"], room - ready)
    start = max(sender["clock"], row["free"])
    row["longest_wait"] = max(row["longest_wait"], start - ready)
    row["busy"] += duration
    row["ready"] = row["clock"] = start + duration
    return True


@njit(cache=True, nogil=True)
def _set_out(row: np.ndarray, moment: float, address: int) -> None:
    """Let the source send what it has at an address, not before a moment (µs)."""
    row["ready"], row["clock"] = moment, max(row["clock"], moment)
    row["address"] = address


@njit(cache=True, nogil=True)
def _log(entry: np.ndarray, core: int, address: int, cause: int) -> None:
    """Write an entry, a LOGGED."""
    entry["core"], entry["address"], entry["cause"] = core, address, cause


@njit(cache=True, nogil=True)
def _begin(row: np.ndarray, sender: int, n_spikes: int, end_edge: int) -> None:
    """Let a core begin to send the spikes of one event."""
    row["sender"], row["spike"], row["n_spikes"] = sender, 0, n_spikes
    row["edge"] = end_edge


@njit(cache=True, nogil=True)
def _end(server: np.ndarray, row: np.ndarray, ring: np.ndarray) -> None:
    """Free a core whose spikes are all gone."""
    ring[server["ring"] + row["taken"] % server["capacity"]] = row["free"] = row["clock"]
    row["taken"] += 1


@njit(cache=True, nogil=True)
def _leaves(core: np.ndarray, row: np.ndarray, n_seen: int, counts: np.ndarray) -> bool:
    """Let a spike leave its core through monitor and decimator; return whether to log it."""
    passes = (n_seen - 1) % core["ratio"] == core["passing"]
    if passes:
        row["edge"] = core["first_edge"]
    if core["monitors"] == ALL or (passes and core["monitors"] == PASSING):
        counts[core["counts"] + row["address"]] += 1
        return row["kept"] != 0
    return False
