"""Events through a network without merges, in one call of the kernel for all cores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speckflex.kernels.flow import Source, Stream, flow
from speckflex.twin._cache_lines import zeros_apart
from speckflex.twin._network import NetworkModel, RunningNetwork
from speckflex.twin._passage import EVENTS_PER_CHUNK, Passage
from speckflex.twin._queues import Queue
from speckflex.twin.cores import SPIKES_PER_CALL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from speckflex.twin._kept_spikes import KeptSpikes
    from speckflex.twin._passage import Graph
    from speckflex.twin.cores import RunningCore

__all__ = ["Flow", "FlowModel"]


class FlowModel:
    """A network whose cores have one sender each: what never changes."""

    def __init__(self, graph: Graph) -> None:
        rooms = [max(SPIKES_PER_CALL, core.most_spikes) for core in graph.cores]
        self.network = NetworkModel(graph, rooms)
        self.longest_queue = max(rooms)
        self.chunk_size = EVENTS_PER_CHUNK

    def start(self, cores: Sequence[RunningCore]) -> Flow:
        """Return a way through the cores of one machine."""
        return Flow(self, cores)


class Flow(Passage):
    """A network without merges at work on the potentials and counts of running cores."""

    def __init__(self, model: FlowModel, cores: Sequence[RunningCore]) -> None:
        super().__init__(cores)
        self._network = model.network.arrays
        self._running = RunningNetwork(model.network, cores)
        self._sent = zeros_apart(len(cores) + 1, np.int64)
        self._done = zeros_apart(len(cores), np.int64)
        self._ends = zeros_apart(model.longest_queue, np.int32)
        self._times = zeros_apart(0, np.int64)
        self._watched = np.zeros(len(cores), np.bool_)

    def begin_sample(self, sample: int, kept: KeptSpikes, stopped: Callable[[], bool]) -> None:
        """Begin a sample; nothing waits."""
        super().begin_sample(sample, kept, stopped)
        self._sent[:] = 0
        self._done[:] = 0
        self._watched[:] = [index in kept for index in range(len(self._cores))]
        if kept and not self._times.size:
            self._times = zeros_apart(self._running.spikes.size, np.int64)

    def _follow(self, source: int, queue: Queue) -> None:
        self._sent[source] = len(queue)
        if len(queue) > len(self._ends):
            # longer than any of the cores' own, such as a spike of every neuron at a tick
            self._ends = zeros_apart(len(queue), np.int32)
        stream = self._stream()
        times = stream.times[:0] if queue.times is None else queue.times
        core, whole = source, Source(source, queue.codes, times)
        while not self._stopped():
            core = flow(whole, core, self._watched, self._network, stream)
            if core < 0:
                break
            first = self._network.cores[core]["spikes"]
            own = slice(first, first + self._sent[core])
            self._kept.add(core, Queue(stream.spikes[own], stream.times[own]))

    def _stream(self) -> Stream:
        running = self._running
        return Stream(
            sent=self._sent,
            done=self._done,
            seen=running.seen,
            memory=running.memory,
            counts=running.counts,
            spikes=running.spikes,
            times=self._times if self._kept else self._times[:0],
            pending=running.pending,
            ends=self._ends,
        )
