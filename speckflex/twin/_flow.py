"""Events through a network without merges, in one call of the kernel for all cores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speckflex.kernels.flow_blocks import PROGRESS, FlowState, Inflow, flow_blocks
from speckflex.twin._joined_cores import JoinedCoresModel, RunningJoinedCores
from speckflex.twin._passage import EVENTS_PER_CHUNK, Passage
from speckflex.twin._queues import Queue
from speckflex.twin.cores import SPIKES_PER_CALL, zeros_apart

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from speckflex.twin.cores import RunningCore
    from speckflex.twin.graph import Graph
    from speckflex.twin.outputs import KeptSpikes

__all__ = ["Flow", "FlowModel"]


class FlowModel:
    """A network whose cores have one sender each: what never changes."""

    def __init__(self, graph: Graph) -> None:
        rooms = [max(SPIKES_PER_CALL, core.most_spikes) for core in graph.cores]
        self.joined = JoinedCoresModel(graph, rooms)
        self.longest_queue = max(rooms)
        self.chunk_size = EVENTS_PER_CHUNK

    def start(self, cores: Sequence[RunningCore]) -> Flow:
        """Return a way through the cores of one machine."""
        return Flow(self, cores)


class Flow(Passage):
    """A network without merges at work on the potentials and counts of running cores."""

    def __init__(self, model: FlowModel, cores: Sequence[RunningCore]) -> None:
        super().__init__(cores)
        self._joined = model.joined.arrays
        self._first_spikes = self._joined.cores["spikes"].tolist()
        self._running = RunningJoinedCores(model.joined, cores)
        self._progress = zeros_apart(len(cores) + 1, PROGRESS)
        self._ends = zeros_apart(model.longest_queue, np.int32)
        self._times = zeros_apart(0, np.int64)

    def begin_sample(self, sample: int, kept: KeptSpikes, stopped: Callable[[], bool]) -> None:
        """Begin a sample; nothing waits."""
        super().begin_sample(sample, kept, stopped)
        self._progress[:] = np.zeros((), PROGRESS)
        if kept:
            self._progress["watched"] = [index in kept for index in range(len(self._progress))]
            if not self._times.size:
                self._times = zeros_apart(self._running.spikes.size, np.int64)

    def follow(self, source: int, queue: Queue) -> None:
        """Run what a source sends through all cores behind it; see `Passage.follow`."""
        self._progress["sent"][source] = len(queue)
        if len(queue) > len(self._ends):
            # longer than any of the cores' own, such as a spike of every neuron at a tick
            self._ends = zeros_apart(len(queue), np.int32)
        state = self._state()
        times = state.times[:0] if queue.times is None else queue.times
        core, whole = source, Inflow(source, queue.codes, times)
        while core >= 0 and not self._stopped():
            core = flow_blocks(whole, core, self._joined, state)
            if self._kept:
                self._read(state)

    def _read(self, state: FlowState) -> None:
        """Keep the spikes that the kernel has left to be read."""
        n_unread = self._progress["unread"]
        for core, n_spikes in enumerate(n_unread.tolist()):
            if n_spikes:
                first = self._first_spikes[core]
                own = slice(first, first + n_spikes)
                self._kept.add(core, Queue(state.spikes[own], state.times[own]))
        n_unread[:] = 0

    def _state(self) -> FlowState:
        running = self._running
        return FlowState(
            progress=self._progress,
            seen=running.seen,
            memory=running.memory,
            counts=running.counts,
            spikes=running.spikes,
            times=self._times if self._kept else self._times[:0],
            pending=running.pending,
            ends=self._ends,
        )
