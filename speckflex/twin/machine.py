"""A whole program at work: events in at the input stage, spikes out of every core."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from speckflex.errors import BoardError
from speckflex.twin.cores import CoreModel, RunningCore
from speckflex.twin.event_filter import RunningFilter
from speckflex.twin.flow import Flow, FlowModel
from speckflex.twin.kept_spikes import KeptSpikes
from speckflex.twin.queues import Queue, concatenate_queues, merge_queues
from speckflex.twin.routing import Edge, Places, addresses_of, deliver, enter
from speckflex.twin.service import Service, ServiceModel
from speckflex.twin.slow_clock import RunningClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from speckflex.boards.settings import TwinSettings
    from speckflex.program import Core, InputStage, Program
    from speckflex.twin.service import CoreLoad

__all__ = ["LayerOutput", "Machine", "MachineModel", "SampleOutput"]

# Input events that go through all cores before the next ones are looked at: bounds the time
# until an interrupt is noticed, and where whole queues go from core to core, their memory.
EVENTS_PER_CHUNK = 8192
EVENTS_PER_WHOLE_CHUNK = 512


@dataclass(frozen=True, eq=False)
class LayerOutput:
    """What one monitored layer did on one sample.

    Args:
        counts: `(channel, y, x) int64`, spikes.
        potentials: `(channel, y, x) int64`, at the end of the sample.
        events: `(n,)` event array; None where only counts were kept.
    """

    counts: np.ndarray
    potentials: np.ndarray
    events: np.ndarray | None


@dataclass(frozen=True, eq=False)
class SampleOutput:
    """What the monitored layers did on one sample.

    Args:
        layers: one output per monitored layer.
        accepted: input events that went in before the end or an interrupt.
        loads: how busy each core was; empty without a rate of work.
    """

    layers: tuple[LayerOutput, ...]
    accepted: int
    loads: tuple[CoreLoad, ...]


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
            model = CoreModel(core, places, settings)
            self.cores.append(model)
            self.edges.append(_connect(core, model.places, arrivals, settings))
        self.n_senders = [len(places) for places in arrivals]
        self.service = self.flow = None
        self.chunk_size = EVENTS_PER_CHUNK
        network = self.cores, self.input_edges, self.edges, settings
        if settings.synops_per_second is not None:
            self.service = ServiceModel(*network)
        elif max(self.n_senders) <= 1 and not settings.reorders:
            self.flow = FlowModel(*network)
        else:
            # engines take events from all that wait, be it for long
            timed = settings.engine_times is not None
            self.chunk_size = sys.maxsize if timed else EVENTS_PER_WHOLE_CHUNK
        self.merges = self.service is None and max(self.n_senders) > 1
        self.leaks = any(core.bias is not None for core in program.cores)

    def keep(self, layers: Iterable[int]) -> KeptSpikes:
        """Return what keeps the spikes of some layers, by position."""
        return KeptSpikes({index: self.cores[index].places for index in layers})


class Machine:
    """The potentials of all cores, and the queues between them.

    A core depends on nothing but the sequence of events that it receives. So each core runs on
    whole blocks of events, and their order alone decides the spikes: with one sender it is the
    order of sending, with several it is the depth-first order of `merge_queues`. Where cores take
    their time, a core depends on those behind it too, and `Service` follows event by event.
    """

    def __init__(self, model: MachineModel) -> None:
        self.model = model
        self.cores = [RunningCore(core) for core in model.cores]
        self._service = None if model.service is None else Service(model.service, self.cores)
        self._flow = None if model.flow is None else Flow(model.flow, self.cores)
        self._n_ticks, self._clock = 0, RunningClock(model.settings)
        self._filter = None
        if model.program.input.event_filter is not None:
            self._filter = RunningFilter(model.program.input.event_filter, model.entered)

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
            core.begin_sample(sample)
        if self._service is not None:
            self._service.begin_sample()
        if self._flow is not None:
            self._flow.begin_sample(kept)
        if self._filter is not None:
            # it counts ticks, and the clock begins anew
            self._filter.reset()
        self._n_ticks = 0
        self._clock.reset()
        for block in blocks:
            for start in range(0, len(block), self.model.chunk_size):
                if stopped():
                    break
                self._play_chunk(block[start : start + self.model.chunk_size], kept)
        layers = tuple(
            LayerOutput(
                counts=core.counts.reshape(core.state.shape).transpose(2, 0, 1).copy(),
                potentials=core.state.transpose(2, 0, 1).astype(np.int64),
                events=kept.events(index),
            )
            for index, core in ((index, self.cores[index]) for index in monitor)
        )
        return SampleOutput(layers, self._clock.n_events, self.loads())

    def loads(self) -> tuple[CoreLoad, ...]:
        """Return how busy each core was in the last sample; empty without a rate of work."""
        return () if self._service is None else self._service.loads()

    def _play_chunk(self, chunk: np.ndarray, kept: KeptSpikes) -> None:
        """Run a chunk of events through all cores, between the ticks of the slow clock."""
        model = self.model
        if not (model.settings.has_slow_clock or model.settings.is_timed):
            self._clock.pass_by(len(chunk))
            self._enter_network(self._enter(chunk, None, with_times=bool(kept)), kept)
            return
        moments, ticks = self._clock.follow(chunk["t"])
        queue = self._enter(chunk, moments, with_times=bool(kept))
        if not model.settings.has_slow_clock:
            self._enter_network(queue, kept)
            return
        passing = np.ones(len(chunk), bool)
        if self._filter is not None:
            passing = self._filter.passing(queue.codes, ticks)
        for part in np.split(np.arange(len(chunk)), np.flatnonzero(np.diff(ticks)) + 1):
            self._tick(int(ticks[part[0]]) - self._n_ticks, int(moments[part[0]]), kept)
            self._n_ticks = int(ticks[part[0]])
            self._enter_network(queue.take(part[passing[part]]), kept)

    def _enter_network(self, events: Queue, kept: KeptSpikes) -> None:
        if self._service is not None:
            self._service.play(events, kept)
        elif self._flow is not None:
            self._flow.play(events, kept)
        else:
            self._pass_on(self.model.input_edges, events, kept)

    def _enter(self, chunk: np.ndarray, moments: np.ndarray | None, *, with_times: bool) -> Queue:
        timed = self.model.settings.is_timed
        return Queue(
            addresses_of(chunk, self.model.program.input.shape),
            np.ascontiguousarray(chunk["t"]) if with_times else None,
            moments.astype(np.float64) if timed and moments is not None else None,
            np.arange(len(chunk), dtype=np.int32)[:, None] if self.model.merges else None,
        )

    def _tick(self, n_ticks: int, time: int, kept: KeptSpikes) -> None:
        """Leak all cores; then run what fired, core by core."""
        if not n_ticks or not self.model.leaks:
            return
        if self.model.settings.leak_spikes == "at next event":
            for core in self.cores:
                core.leak(n_ticks)
            return
        for _ in range(n_ticks):
            fired = [core.leak(1) for core in self.cores]
            for index, addresses in enumerate(fired):
                self._forward(index, self._at(addresses, time, kept), kept)

    def _at(self, addresses: np.ndarray, time: int, kept: KeptSpikes) -> Queue:
        """Return spikes that no event caused, at one time."""
        timed = self.model.settings.is_timed
        n_spikes = len(addresses)
        return Queue(
            addresses,
            np.full(n_spikes, time) if kept else None,
            np.full(n_spikes, float(time)) if timed else None,
            np.arange(n_spikes, dtype=np.int32)[:, None] if self.model.merges else None,
        )

    def _forward(self, index: int, spikes: Queue, kept: KeptSpikes) -> None:
        if self._service is not None:
            self._service.send(index, spikes, kept)
        elif len(spikes):
            emission = self.cores[index].send(spikes)
            kept.add(index, emission.monitored)
            if self._flow is not None:
                self._flow.follow(index, emission.sent, kept)
            else:
                self._pass_on(self.model.edges[index], emission.sent, kept)

    def _pass_on(self, edges: Sequence[Edge], queue: Queue, kept: KeptSpikes) -> None:
        """Run all cores behind one sender in network order, on whole queues, merged."""
        arrivals: list[list[Queue]] = [[] for _ in self.cores]
        for edge in edges:
            arrivals[edge.target].append(queue.step(edge.rank, edge.offset))
        for index, queues in enumerate(arrivals):
            spikes = self._run_whole(index, self._merged(index, queues), kept) if queues else None
            if spikes is not None:
                for edge in self.model.edges[index]:
                    arrivals[edge.target].append(spikes.step(edge.rank, edge.offset))

    def _merged(self, index: int, queues: Sequence[Queue]) -> Queue:
        return merge_queues(queues, self.model.n_senders[index])

    def _run_whole(self, index: int, queue: Queue, kept: KeptSpikes) -> Queue | None:
        """Return all that a core sends for a queue; None for nothing."""
        blocks = []
        for emission in self.cores[index].run(queue):
            kept.add(index, emission.monitored)
            blocks.append(concatenate_queues([emission.sent]))
        return concatenate_queues(blocks).numbered() if blocks else None


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
