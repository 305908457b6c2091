"""A whole program at work: events in at the input stage, spikes out of every core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from speckflex.events import EVENT_DTYPE, make_events
from speckflex.twin.cores import SPIKES_PER_CALL, CoreModel, RunningCore
from speckflex.twin.input_stage import enter
from speckflex.twin.queues import Queue, merge_queues, send

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from speckflex.boards.settings import TwinSettings
    from speckflex.program import Core, InputStage, Program

__all__ = ["EVENTS_PER_CHUNK", "LayerOutput", "Machine", "MachineModel", "SampleOutput"]

# Input events that go through all cores before the next ones are looked at: bounds the memory
# of the queues, and the time until an interrupt is noticed.
EVENTS_PER_CHUNK = 4096


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


class MachineModel:
    """What never changes while a program runs; shared by all threads."""

    def __init__(self, program: Program, settings: TwinSettings) -> None:
        self.program = program
        self.settings = settings
        self.cores = [CoreModel(core, settings) for core in program.cores]
        senders: list[InputStage | Core] = [program.input, *program.cores]
        n_sources = [0] * len(program.cores)
        for sender in senders:
            for destination in sender.destinations:
                n_sources[destination.core] += 1
        self.merges = max(n_sources) > 1
        self.buffer_size = max(SPIKES_PER_CALL, *(model.most_spikes for model in self.cores))


class Machine:
    """The potentials of all cores, and the queues between them.

    A core depends on nothing but the sequence of events that it receives. So the cores run one
    after the other, each on a whole queue, and a queue's order alone decides the spikes: for
    one sender it is the order of sending, for several the depth-first order of `merge_queues`.
    """

    def __init__(self, model: MachineModel) -> None:
        self.model = model
        spikes = np.empty((model.buffer_size, 4), np.int32)
        self.cores = [RunningCore(core, spikes) for core in model.cores]

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
        kept: dict[int, list[np.ndarray]] = {index: [] for index in monitor}
        accepted = 0
        while accepted < len(events) and not stopped():
            chunk = events[accepted : accepted + EVENTS_PER_CHUNK]
            outputs = self._run_chunk(chunk)
            accepted += len(chunk)
            if keep_events:
                for index in monitor:
                    kept[index].append(_as_events(outputs[index], chunk))
        layers = tuple(
            _layer_output(self.cores[index], kept[index] if keep_events else None)
            for index in monitor
        )
        return SampleOutput(layers, accepted)

    def _run_chunk(self, chunk: np.ndarray) -> list[Queue]:
        """Run events through all cores in network order and return each core's spikes."""
        program = self.model.program
        arrivals: list[list[Queue]] = [[] for _ in self.cores]
        entered = enter(program.input, chunk, with_path=self.model.merges)
        self._send(program.input, entered, arrivals)
        outputs = []
        for running, queues in zip(self.cores, arrivals, strict=True):
            arrived = merge_queues(queues) if queues else entered.take(np.empty(0, np.int64))
            spikes = running.run(arrived)
            self._send(running.model.core, spikes, arrivals)
            outputs.append(spikes)
        return outputs

    def _send(self, sender: InputStage | Core, spikes: Queue, arrivals: list[list[Queue]]) -> None:
        destinations = sender.destinations
        settings = self.model.settings
        for position, destination in enumerate(destinations):
            rank = position
            if settings.destination_order == "reversed":
                rank = len(destinations) - 1 - position
            arrivals[destination.core].append(
                send(spikes, destination, rank, sender.output_shape, settings.edge_spikes)
            )


def _as_events(spikes: Queue, chunk: np.ndarray) -> np.ndarray:
    return make_events(chunk["t"][spikes.cause], spikes.columns, spikes.rows, spikes.channels)


def _layer_output(core: RunningCore, kept: list[np.ndarray] | None) -> LayerOutput:
    return LayerOutput(
        counts=core.counts.transpose(2, 0, 1).copy(),
        potentials=core.state.transpose(2, 0, 1).astype(np.int64),
        events=np.concatenate([np.empty(0, EVENT_DTYPE), *kept]) if kept is not None else None,
    )
