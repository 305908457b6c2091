"""A whole program at work: events in at the input stage, spikes out of every core."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from speckflex.events import EVENT_DTYPE, make_events
from speckflex.twin.cores import CoreModel, RunningCore
from speckflex.twin.merging import Queue, merge_queues
from speckflex.twin.routing import Places, deliver, enter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from speckflex.boards.settings import TwinSettings
    from speckflex.program import Core, InputStage, Program

__all__ = ["LayerOutput", "Machine", "MachineModel", "SampleOutput"]

# Input events that go through all cores before the next ones are looked at: bounds the time
# until an interrupt is noticed, and where cores merge queues, the memory of the queues.
EVENTS_PER_CHUNK = 8192
EVENTS_PER_MERGED_CHUNK = 512


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
    """

    layers: tuple[LayerOutput, ...]
    accepted: int


@dataclass(frozen=True)
class _Edge:
    """One destination of a core, or of the input stage."""

    target: int
    offset: int
    rank: int


class MachineModel:
    """What never changes while a program runs; shared by all threads."""

    def __init__(self, program: Program, settings: TwinSettings) -> None:
        self.program = program
        arrivals: list[list[Places]] = [[] for _ in program.cores]
        self.input_edges = _connect(program.input, enter(program.input), arrivals, settings)
        self.cores: list[CoreModel] = []
        self.edges: list[list[_Edge]] = []
        for core, places in zip(program.cores, arrivals, strict=True):
            model = CoreModel(core, places, settings)
            self.cores.append(model)
            self.edges.append(_connect(core, model.places, arrivals, settings))
        self.merges = any(len(places) > 1 for places in arrivals)


class Machine:
    """The potentials of all cores, and the queues between them.

    A core depends on nothing but the sequence of events that it receives. So each core runs on
    whole blocks of events, and their order alone decides the spikes: with one sender it is the
    order of sending, with several it is the depth-first order of `merge_queues`.
    """

    def __init__(self, model: MachineModel) -> None:
        self.model = model
        self.cores = [RunningCore(core) for core in model.cores]

    def reset(self) -> None:
        """Set every neuron to its initial state."""
        for core in self.cores:
            core.reset()

    def play(
        self,
        events: np.ndarray,
        monitor: Sequence[int],
        *,
        keep_events: bool,
        stopped: Callable[[], bool],
    ) -> SampleOutput:
        """Play one sample and return what the monitored layers did.

        Args:
            events: `(n,)` event array, checked against the input's shape.
            monitor: positions of the layers to report.
            keep_events: keep the spikes, not their counts alone.
            stopped: asked before each chunk whether to end early.
        """
        for core in self.cores:
            core.counts[:] = 0
        kept = _KeptSpikes(monitor if keep_events else ())
        run = self._run_merging if self.model.merges else self._run_chain
        chunk_size = EVENTS_PER_MERGED_CHUNK if self.model.merges else EVENTS_PER_CHUNK
        accepted = 0
        while accepted < len(events) and not stopped():
            chunk = events[accepted : accepted + chunk_size]
            run(self._addresses(chunk), accepted, kept)
            accepted += len(chunk)
        layers = tuple(
            LayerOutput(
                counts=core.counts.reshape(core.state.shape).transpose(2, 0, 1).copy(),
                potentials=core.state.transpose(2, 0, 1).astype(np.int64),
                events=kept.events(index, events, core.model) if keep_events else None,
            )
            for index, core in ((index, self.cores[index]) for index in monitor)
        )
        return SampleOutput(layers, accepted)

    def _addresses(self, chunk: np.ndarray) -> np.ndarray:
        channels, _, width = self.model.program.input.shape
        pixels = chunk["y"].astype(np.int32) * np.int32(width) + chunk["x"]
        return pixels * np.int32(channels) + chunk["p"]

    def _run_chain(self, addresses: np.ndarray, first: int, kept: _KeptSpikes) -> None:
        """Push events through cores that have one sender each, block by block.

        Args:
            addresses: `(n,) int32`, of the input events.
            first: index of the first input event.
            kept: takes the spikes of monitored layers.
        """
        causes = np.arange(first, first + len(addresses)) if kept.wanted else None
        for edge in self.model.input_edges:
            self._push(edge.target, addresses, causes, kept)

    def _push(
        self, index: int, codes: np.ndarray, causes: np.ndarray | None, kept: _KeptSpikes
    ) -> None:
        for block in self.cores[index].run(codes, with_parents=causes is not None):
            spike_causes = None
            if causes is not None:
                spike_causes = causes[block.parents]
                kept.add(index, block.addresses, spike_causes)
            for edge in self.model.edges[index]:
                self._push(edge.target, block.addresses, spike_causes, kept)

    def _run_merging(self, addresses: np.ndarray, first: int, kept: _KeptSpikes) -> None:
        """Run events through all cores in network order, merging queues where they meet."""
        arrivals: list[list[Queue]] = [[] for _ in self.cores]
        entered = Queue(addresses, np.arange(len(addresses), dtype=np.int32)[:, None])
        for edge in self.model.input_edges:
            arrivals[edge.target].append(entered.step(edge.rank, edge.offset))
        for index, queues in enumerate(arrivals):
            if queues:
                spikes = self._run_core(index, merge_queues(queues))
                kept.add(index, spikes.codes, spikes.path[:, 0].astype(np.int64) + first)
                for edge in self.model.edges[index]:
                    arrivals[edge.target].append(spikes.step(edge.rank, edge.offset))

    def _run_core(self, index: int, queue: Queue) -> Queue:
        addresses, paths = [np.empty(0, np.int32)], [queue.path[:0]]
        for block in self.cores[index].run(queue.codes, with_parents=True):
            addresses.append(block.addresses.copy())
            paths.append(queue.path[block.parents])
        spikes, path = np.concatenate(addresses), np.concatenate(paths)
        return Queue(spikes, np.column_stack((path, np.arange(len(spikes), dtype=np.int32))))


@dataclass(eq=False)
class _KeptSpikes:
    """The spikes of the layers that are monitored with their events."""

    wanted: Sequence[int]
    addresses: dict[int, list[np.ndarray]] = field(default_factory=dict)
    causes: dict[int, list[np.ndarray]] = field(default_factory=dict)

    def add(self, index: int, addresses: np.ndarray, causes: np.ndarray) -> None:
        """Keep spikes of one layer, if it is wanted; `causes` are indices of input events."""
        if index in self.wanted:
            self.addresses.setdefault(index, []).append(addresses.copy())
            self.causes.setdefault(index, []).append(causes)

    def events(self, index: int, events: np.ndarray, model: CoreModel) -> np.ndarray:
        """Return one layer's spikes as events at the time of the input event behind each."""
        if index not in self.addresses:
            return np.empty(0, EVENT_DTYPE)
        addresses, places = np.concatenate(self.addresses[index]), model.places
        return make_events(
            events["t"][np.concatenate(self.causes[index])],
            places.columns[addresses],
            places.rows[addresses],
            places.channels[addresses],
        )


def _connect(
    sender: InputStage | Core,
    places: Places,
    arrivals: list[list[Places]],
    settings: TwinSettings,
) -> list[_Edge]:
    """Add what each destination receives to `arrivals` and return the edges there."""
    edges = []
    last = len(sender.destinations) - 1
    for position, destination in enumerate(sender.destinations):
        received = arrivals[destination.core]
        offset = sum(len(earlier.rows) for earlier in received)
        rank = last - position if settings.destination_order == "reversed" else position
        received.append(deliver(places, sender.output_shape, destination, settings.edge_spikes))
        edges.append(_Edge(destination.core, offset, rank))
    return edges
