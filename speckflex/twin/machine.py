"""A whole program at work: events in at the input stage, spikes out of every core."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speckflex.errors import BoardError
from speckflex.twin._entrance import Entrance
from speckflex.twin._flow import FlowModel
from speckflex.twin._queues import Queue
from speckflex.twin._whole_queues import WholeQueuesModel
from speckflex.twin.cores import RunningCore
from speckflex.twin.graph import Graph
from speckflex.twin.outputs import KeptSpikes, LayerOutput, SampleOutput
from speckflex.twin.service import ServiceModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from speckflex.program.program import Program
    from speckflex.twin._passage import PassageModel
    from speckflex.twin.settings import TwinSettings

__all__ = ["Machine", "MachineModel"]


class MachineModel:
    """What never changes while a program runs; shared by all threads.

    Attributes:
        graph: the program's cores and edges.
        passage: the way that spikes take through them.

    Args:
        program: the program.
        settings: the twin's.

    Raises:
        BoardError: the program's event filter needs a slow clock and the settings have none.
    """

    def __init__(self, program: Program, settings: TwinSettings) -> None:
        if program.input.event_filter is not None and not settings.has_slow_clock:
            raise BoardError(
                "the program's event filter counts ticks of the slow clock, and the twin has none:"
                " give it --slow-clock, or set slow_clock_period or slow_clock_divider"
            )
        self.graph = Graph(program, settings)
        self.passage = _passage(self.graph)


def _passage(graph: Graph) -> PassageModel:
    settings = graph.settings
    if settings.synops_per_second is not None:
        return ServiceModel(graph)
    if graph.merges or settings.overtakes or graph.withholds:
        return WholeQueuesModel(graph)
    return FlowModel(graph)


class Machine:
    """The potentials of all cores, and the queues between them.

    A core depends on nothing but the sequence of events that it receives. So each core runs on
    whole blocks of events, and their order alone decides the spikes: with one sender it is the
    order of sending (`Flow`), with several it is the depth-first order of `merge_queues`
    (`WholeQueues`). Where cores take their time, a core depends on those behind it too, and
    `Service` follows event by event.
    """

    def __init__(self, model: MachineModel) -> None:
        self.model = model
        self.cores = [RunningCore(core) for core in model.graph.cores]
        self._passage = model.passage.start(self.cores)
        self._entrance, self._n_ticks = Entrance(model.graph), 0

    def reset(self) -> None:
        """Set every neuron to its initial state."""
        for core in self.cores:
            core.reset()

    def play(
        self,
        blocks: Iterable[np.ndarray],
        monitor: Sequence[int],
        *,
        sample: int = 0,
        keep_events: bool,
        stopped: Callable[[], bool] | None = None,
        fired: Sequence[tuple[int, np.ndarray]] = (),
    ) -> SampleOutput:
        """Play one sample and return what the monitored layers did.

        Args:
            blocks: `(n,)` event arrays, one after the other, in the input's shape.
            monitor: positions of the layers to report.
            sample: its place among the samples, which seeds what is random.
            keep_events: keep the spikes, not their counts alone.
            stopped: asked before each chunk whether to end early; None for never.
            fired: (position of a core, addresses of its neurons) that fire at time 0, before the
                first event, as a tick makes them.
        """
        stopped = stopped or _never
        kept = KeptSpikes(self.model.graph.cores, monitor if keep_events else ())
        for core in self.cores:
            core.begin_sample()
        self._passage.begin_sample(sample, kept, stopped)
        self._entrance.begin_sample()
        self._n_ticks = 0
        self._send(fired, 0)
        chunk_size = self.model.passage.chunk_size
        for block in blocks:
            for start in range(0, len(block), chunk_size):
                if stopped():
                    break
                self._play_chunk(block[start : start + chunk_size], with_times=bool(kept))
        outputs = ((self.cores[index], kept.events(index)) for index in monitor)
        layers = tuple(
            LayerOutput.of(core.model, core.counts, core.memory, events) for core, events in outputs
        )
        return SampleOutput.of(layers, self._entrance.n_events, self._passage.loads())

    def _play_chunk(self, chunk: np.ndarray, *, with_times: bool) -> None:
        """Run a chunk of events through all cores, between the ticks of the slow clock."""
        entry = self._entrance.admit(chunk, with_times=with_times)
        if len(entry.ends) == 1:
            self._tick(int(entry.ticks[0]), int(entry.moments[0]))
            self._passage.follow(len(self.cores), entry.queue)
            return
        begin = 0
        for ticks, moment, end in zip(entry.ticks, entry.moments, entry.ends, strict=True):
            self._tick(int(ticks), int(moment))
            self._passage.follow(len(self.cores), entry.queue.take(slice(begin, end)))
            begin = end

    def _tick(self, ticks: int, time: int) -> None:
        """Leak all cores up to this count of the slow clock's ticks; then run what fired."""
        n_ticks, self._n_ticks = ticks - self._n_ticks, ticks
        if not n_ticks or not self.model.graph.leaks:
            return
        if self.model.graph.settings.leak_spikes == "at next event":
            for core in self.cores:
                core.leak(n_ticks)
            return
        for _ in range(n_ticks):
            self._send(list(enumerate([core.leak(1) for core in self.cores])), time)

    def _send(self, fired: Sequence[tuple[int, np.ndarray]], time: int) -> None:
        """Let neurons fire that no event has reached."""
        for index, addresses in fired:
            times = np.full(len(addresses), time)
            self._passage.send(index, Queue(addresses, times, times.astype(np.float64)))


def _never() -> bool:
    return False
