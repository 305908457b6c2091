"""How long cores take for their events, and which events wait, are held up or are dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from speckflex.events.streams import MICROSECONDS_PER_SECOND
from speckflex.kernels.serve_events import (
    DROPS,
    LOGGED,
    SERVER,
    STALLS,
    STATE,
    WAITS,
    Servers,
    ServiceState,
    TimedInflow,
    serve_events,
)
from speckflex.twin._joined_cores import JoinedCoresModel, RunningJoinedCores, starts_of
from speckflex.twin._passage import EVENTS_PER_CHUNK, Passage
from speckflex.twin._queues import Queue
from speckflex.twin.cores import SPIKES_PER_CALL
from speckflex.twin.outputs import CoreLoad

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from speckflex.program.records import Core
    from speckflex.twin.cores import RunningCore
    from speckflex.twin.graph import Graph
    from speckflex.twin.outputs import KeptSpikes
    from speckflex.twin.settings import TwinSettings

__all__ = ["Service", "ServiceModel"]


class ServiceModel:
    """A network of servers at `settings.synops_per_second`: what never changes.

    An event keeps a core busy for the number of neurons that it updates, divided by the rate.
    A core takes events in the depth-first order of the twin, one at a time. When the work for an
    event is done, its spikes leave one after another, each for its destinations one after
    another; the transfer takes no time. The core takes its next event when the last of them is
    gone.

    An event is in a core from when it enters until the core is done with it and with its
    spikes. A core has room for one event in work and `input_buffer` that wait, or
    `balancer_buffer` if it has a congestion balancer. An event that comes while the events
    before it leave no room is dropped by the balancer. Without one it stays where it is until
    there is room, and stalls its sender, and so on back to the input, whose events then wait. With
    b events that may wait, for the n-th event of a core that is not dropped:

        enters(n) = max(sent(n), gone(n - b - 1))
        begins(n) = max(enters(n), gone(n - 1))
        done(n)   = begins(n) + neurons(n) / rate
        gone(n)   = when the last spike of n entered its last destination, done(n) without one
        sent(n)   = when the spike or copy before it entered; for the first one done(cause)

    and an event of the input is sent at its time, or once the event before it has entered.
    Where cores merge, the n-th event is the n-th of the depth-first order, even if another one
    is sent before. All that a time depends on lies earlier in that order. So nothing
    waits in a circle, and following each event to the end of the network gives exact times.

    The spikes of a tick leave at the tick, or when the core is done with what it took before.

    None of this was measured on a chip. That a core without balancer holds its senders up until
    "the entire chip stalls" is documented (sinabs, tips for training); how much room it has is not.
    """

    def __init__(self, graph: Graph) -> None:
        cores, settings = graph.cores, graph.settings
        rooms = [core.most_spikes for core in cores]
        self.joined = JoinedCoresModel(graph, rooms)
        rows = np.zeros(len(cores), SERVER)
        for row, model in zip(rows, cores, strict=True):
            row["when_full"], row["capacity"] = _room(model.core, settings)
        rows["ring"] = starts_of(rows["capacity"])[:-1]
        rate = settings.synops_per_second or np.inf
        durations = [
            np.where(
                core.reaches, core.updates_per_route() * (MICROSECONDS_PER_SECOND / rate), -1.0
            )
            for core in cores
        ]
        self.servers = Servers(rows, np.concatenate(durations))
        self.chunk_size = EVENTS_PER_CHUNK

    def start(self, cores: Sequence[RunningCore]) -> Service:
        """Return a way through the cores of one machine."""
        return Service(self, cores)


class Service(Passage):
    """A network of servers at work on the potentials and counts of running cores."""

    def __init__(self, model: ServiceModel, cores: Sequence[RunningCore]) -> None:
        super().__init__(cores)
        self.model = model
        running = RunningJoinedCores(model.joined, cores)
        self._state = np.zeros(len(cores) + 1, STATE)
        self._service = ServiceState(
            state=self._state,
            ring=np.zeros(int(model.servers.rows["capacity"].sum())),
            memory=running.memory,
            counts=running.counts,
            seen=running.seen,
            pending=running.pending,
            spikes=running.spikes,
            log=np.empty(SPIKES_PER_CALL, LOGGED),
        )

    def begin_sample(self, sample: int, kept: KeptSpikes, stopped: Callable[[], bool]) -> None:
        """Begin a sample; nothing waits."""
        super().begin_sample(sample, kept, stopped)
        self._state[:] = np.zeros((), STATE)
        self._state["kept"] = [index in kept for index in range(len(self._state))]

    def send(self, index: int, spikes: Queue) -> None:
        """Let spikes that no event made leave a core, and through all cores behind it."""
        self.follow(index, spikes)
        row = self._state[index]
        row["free"] = row["clock"]

    def loads(self) -> tuple[CoreLoad, ...]:
        """Return what the cores did since the sample began."""
        rows, cores = self._state[:-1], self.model.joined.cores
        return tuple(_load(model.core.name, row) for model, row in zip(cores, rows, strict=True))

    def follow(self, source: int, queue: Queue) -> None:
        """Run what a source sends through all cores behind it; see `Passage.follow`."""
        joined, row = self.model.joined.arrays, self._state[source]
        # with a rate, all that is sent has its moment
        moments = cast("np.ndarray", queue.moments)
        row["spike"], row["n_spikes"] = 0, len(queue)
        row["edge"] = joined.cores[source]["end_edge"]
        sender, whole = source, TimedInflow(source, queue.codes, moments)
        while sender >= 0 and not self._stopped():
            sender, n_logged = serve_events(
                whole, sender, joined, self.model.servers, self._service
            )
            self._keep(queue, self._service.log[:n_logged])

    def _keep(self, queue: Queue, log: np.ndarray) -> None:
        """Hand over what was logged, core by core."""
        if queue.times is None:
            return
        for index in np.unique(log["core"]):
            own = log[log["core"] == index]
            self._kept.add(int(index), Queue(own["address"], queue.times[own["cause"]]))


def _room(core: Core, settings: TwinSettings) -> tuple[int, int]:
    """Return what a full core does, and for how many events it has room."""
    if core.congestion_balancer:
        return DROPS, settings.balancer_buffer + 1
    if settings.input_buffer is None:
        return WAITS, 1
    return STALLS, settings.input_buffer + 1


def _load(name: str, row: np.void) -> CoreLoad:
    end = max(float(row["free"]), float(row["last"]))
    return CoreLoad(
        name=name,
        events=int(row["arrived"]),
        dropped=int(row["dropped"]),
        busy=float(row["busy"]),
        span=end - float(row["first"]) if row["arrived"] else 0.0,
        longest_wait=float(row["longest_wait"]),
        backlog=end - float(row["last"]) if row["arrived"] else 0.0,
        stalled=float(row["stalled"]),
        input_wait=float(row["input_wait"]),
    )
