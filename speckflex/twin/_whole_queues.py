"""Core by core, each on the whole queue of what it gets, in the order in which it arrives."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from speckflex.twin._passage import Passage
from speckflex.twin._queues import Queue, concatenate_queues, merge_queues
from speckflex.twin.queue_runner import QueueRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from speckflex.twin.cores import RunningCore
    from speckflex.twin.graph import Graph
    from speckflex.twin.outputs import KeptSpikes

__all__ = ["WholeQueues", "WholeQueuesModel"]

# Input events go through in parts, which get smaller as a queue gets longer, to save memory.
FIRST_PART, LARGEST_PART = 8, 512
SPIKES_PER_QUEUE = 2**21


class WholeQueuesModel:
    """A network of any shape, in any order of output: what never changes."""

    def __init__(self, graph: Graph) -> None:
        self.edges = graph.edges
        self.n_senders = [core.n_senders for core in graph.cores]
        # engines choose among all waiting events, however many wait
        timed = graph.settings.engine_times is not None
        self.chunk_size = sys.maxsize if timed else LARGEST_PART
        # an event can only overtake others that wait
        self.parts = not graph.settings.overtakes

    def start(self, cores: Sequence[RunningCore]) -> WholeQueues:
        """Return a way through the cores of one machine."""
        return WholeQueues(self, cores)


class WholeQueues(Passage):
    """The queues between running cores.

    The cores run in network order, each on all that the ones before it sent for a chunk of input
    events: with several senders, in the depth-first order of `merge_queues`.
    """

    def __init__(self, model: WholeQueuesModel, cores: Sequence[RunningCore]) -> None:
        super().__init__(cores)
        self._model = model
        self._runners = [QueueRunner(core) for core in cores]
        self._merges = max(model.n_senders) > 1
        self._part, self._longest = FIRST_PART, 0

    def begin_sample(self, sample: int, kept: KeptSpikes, stopped: Callable[[], bool]) -> None:
        """Begin a sample; nothing waits."""
        super().begin_sample(sample, kept, stopped)
        for runner in self._runners:
            runner.begin_sample(sample)

    def follow(self, source: int, queue: Queue) -> None:
        """Run what a source sends through all cores behind it; see `Passage.follow`."""
        if source < len(self._cores):
            self._follow_part(source, queue)
            return
        start = 0
        while start < len(queue) and not self._stopped():
            size, self._longest = self._part if self._model.parts else len(queue), 0
            self._follow_part(source, queue.take(slice(start, start + size)))
            start += size
            if self._longest > SPIKES_PER_QUEUE:
                self._part = max(1, self._part // 2)
            else:
                self._part = min(LARGEST_PART, 2 * self._part)

    def _follow_part(self, source: int, queue: Queue) -> None:
        if self._merges:
            queue = replace(queue, path=np.empty((len(queue), 0), np.int32)).numbered()
        arrivals: list[list[Queue]] = [[] for _ in self._cores]
        self._arrive(source, queue, arrivals)
        for index, queues in enumerate(arrivals):
            if queues and not self._stopped():
                spikes = self._run(index, merge_queues(queues, self._model.n_senders[index]))
                self._arrive(index, spikes, arrivals)

    def _arrive(self, sender: int, queue: Queue, arrivals: Sequence[list[Queue]]) -> None:
        if len(queue):
            for edge in self._model.edges[sender]:
                arrivals[edge.target].append(queue.step(edge.rank, edge.offset))

    def _run(self, index: int, queue: Queue) -> Queue:
        """Return all that a core sends for a queue."""
        blocks = [queue.take(slice(0))]
        for emission in self._runners[index].run(queue):
            self._kept.add(index, emission.monitored)
            if self._stopped():
                break
            if self._model.edges[index]:
                # what it emits is overwritten by its next block
                blocks.append(concatenate_queues([emission.sent]))
        spikes = concatenate_queues(blocks).numbered()
        self._longest = max(self._longest, len(spikes))
        return spikes
