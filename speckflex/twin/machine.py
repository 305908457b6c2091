"""A whole program at work: events in at the input stage, spikes out of every core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from speckflex.errors import BoardError
from speckflex.kernels.addresses import count_by_channel
from speckflex.program.routing import Edge, Places, deliver, enter
from speckflex.twin._entrance import Entrance
from speckflex.twin._flow import FlowModel
from speckflex.twin._kept_spikes import KeptSpikes
from speckflex.twin._passage import Graph
from speckflex.twin._queues import Queue
from speckflex.twin._whole_queues import WholeQueuesModel
from speckflex.twin.cores import CoreModel, RunningCore
from speckflex.twin.service import ServiceModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from speckflex.program.program import Program
    from speckflex.program.records import Core, InputStage
    from speckflex.twin._passage import PassageModel
    from speckflex.twin.service import CoreLoad
    from speckflex.twin.settings import TwinSettings

__all__ = ["LayerOutput", "Machine", "MachineModel", "SampleOutput"]


@dataclass(frozen=True, eq=False)
class LayerOutput:
    """What one monitored layer did on one sample.

    Args:
        counts: `(channel, y, x) int64`, spikes.
        n_spikes: of all neurons.
        potentials: `(channel, y, x) int64`, what its neurons have summed up; None where spikes
            are read out.
        events: `(n,)` event array; None where only counts were kept.
    """

    counts: np.ndarray
    n_spikes: int
    potentials: np.ndarray | None
    events: np.ndarray | None

    @classmethod
    def of(
        cls, core: CoreModel, counts: np.ndarray, memory: np.ndarray, events: np.ndarray | None
    ) -> LayerOutput:
        """Return the output of a core.

        Args:
            core: the layer's.
            counts: `(y * x * channel,) int64`, spikes by address.
            memory: `(y * x * channel or more,) int16`, potentials by address.
            events: `(n,)` event array, or None.
        """
        channels, height, width = core.shape
        own = np.empty(core.shape, np.int64)
        n_spikes = count_by_channel(counts, own.reshape(channels, -1))
        potentials = None
        if core.core.readout == "potential":
            state = memory[: own.size].reshape(height, width, channels).transpose(2, 0, 1)
            potentials = core.core.integrated(state.astype(np.int64), own)
        return cls(own, n_spikes, potentials, events)


@dataclass(frozen=True, eq=False)
class SampleOutput:
    """What the monitored layers did on one sample.

    Args:
        layers: one output per monitored layer.
        accepted: input events that went in before the end or an interrupt.
        read: spikes of the monitored layers.
        loads: how busy each core was; empty without a rate of work.
    """

    layers: tuple[LayerOutput, ...]
    accepted: int
    read: int
    loads: tuple[CoreLoad, ...]

    @classmethod
    def of(
        cls, layers: tuple[LayerOutput, ...], accepted: int, loads: tuple[CoreLoad, ...] = ()
    ) -> SampleOutput:
        """Return the output of a sample; counts what was read."""
        return cls(layers, accepted, sum(layer.n_spikes for layer in layers), loads)


class MachineModel:
    """What never changes while a program runs; shared by all threads."""

    def __init__(self, program: Program, settings: TwinSettings) -> None:
        if program.input.event_filter is not None and not settings.has_slow_clock:
            raise BoardError(
                "the program's event filter counts ticks of the slow clock, and the twin has none:"
                " give it --slow-clock, or set slow_clock_period or slow_clock_divider"
            )
        self.program = program
        self.settings = settings
        self.entered = enter(program.input, settings.mirror_frame)
        arrivals: list[list[Places]] = [[] for _ in program.cores]
        self.input_edges = _connect(program.input, self.entered, arrivals, settings)
        self.cores: list[CoreModel] = []
        self.edges: list[list[Edge]] = []
        for core, places in zip(program.cores, arrivals, strict=True):
            limits = program.chip_record.core(core.chip_core)
            parallel = limits is not None and not limits.repeatable
            model = CoreModel(core, places, settings, parallel=parallel)
            self.cores.append(model)
            self.edges.append(_connect(core, model.places, arrivals, settings))
        self.merges = any(core.n_senders > 1 for core in self.cores)
        self.passage = self._passage()
        self.leaks = any(core.bias is not None for core in program.cores)

    def _passage(self) -> PassageModel:
        graph = Graph(self.cores, [*self.edges, self.input_edges], self.settings)
        if self.settings.synops_per_second is not None:
            return ServiceModel(graph)
        if self.merges or self.settings.overtakes or self.settings.output_order != "yxc":
            return WholeQueuesModel(graph)
        return FlowModel(graph)

    def keep(self, layers: Iterable[int]) -> KeptSpikes:
        """Return what keeps the spikes of some layers, by position."""
        return KeptSpikes({index: self.cores[index].places for index in layers})


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
        self.cores = [RunningCore(core) for core in model.cores]
        self._passage = model.passage.start(self.cores)
        self._entrance, self._n_ticks = Entrance(model), 0

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
        stopped: Callable[[], bool],
    ) -> SampleOutput:
        """Play one sample and return what the monitored layers did.

        Args:
            blocks: `(n,)` event arrays, one behind the other, in the input's shape.
            monitor: positions of the layers to report.
            sample: its place among the samples, which seeds what is random.
            keep_events: keep the spikes, not their counts alone.
            stopped: asked before each chunk whether to end early.
        """
        kept = self.model.keep(monitor if keep_events else ())
        for core in self.cores:
            core.begin_sample()
        self._passage.begin_sample(sample, kept, stopped)
        self._entrance.begin_sample()
        self._n_ticks = 0
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
            self._passage.play(entry.queue)
            return
        begin = 0
        for ticks, moment, end in zip(entry.ticks, entry.moments, entry.ends, strict=True):
            self._tick(int(ticks), int(moment))
            self._passage.play(entry.queue.take(slice(begin, end)))
            begin = end

    def _tick(self, ticks: int, time: int) -> None:
        """Leak all cores until the slow clock has ticked so often; then run what fired."""
        n_ticks, self._n_ticks = ticks - self._n_ticks, ticks
        if not n_ticks or not self.model.leaks:
            return
        if self.model.settings.leak_spikes == "at next event":
            for core in self.cores:
                core.leak(n_ticks)
            return
        for _ in range(n_ticks):
            fired = [core.leak(1) for core in self.cores]
            for index, addresses in enumerate(fired):
                times = np.full(len(addresses), time)
                self._passage.send(index, Queue(addresses, times, times.astype(np.float64)))


def _connect(
    sender: InputStage | Core,
    places: Places,
    arrivals: list[list[Places]],
    settings: TwinSettings,
) -> list[Edge]:
    """Add what each destination receives to `arrivals` and return the edges there."""
    edges = []
    last = len(sender.destinations) - 1
    for position, destination in enumerate(sender.destinations):
        received = arrivals[destination.core]
        offset = sum(len(earlier.rows) for earlier in received)
        rank = last - position if settings.destination_order == "reversed" else position
        received.append(deliver(places, sender.output_shape, destination, settings.edge_spikes))
        edges.append(Edge(destination.core, offset, rank))
    return edges
