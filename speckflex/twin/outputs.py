"""What a sample leaves behind: counts and potentials, kept spikes, how busy each core was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from speckflex.events.streams import EVENT_DTYPE
from speckflex.kernels.addresses import count_by_channel
from speckflex.kernels.spikes_as_events import write_events

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from speckflex.twin._queues import Queue
    from speckflex.twin.cores import CoreModel

__all__ = ["CoreLoad", "KeptSpikes", "LayerOutput", "SampleOutput"]


@dataclass(frozen=True)
class CoreLoad:
    """How busy one core was during one sample, under a stated rate of work.

    Args:
        name: the layer's name.
        events: events that arrived.
        dropped: how many of them the congestion balancer dropped.
        busy: µs of work.
        span: µs from when the first event was ready to when the core was done with all.
        longest_wait: µs that an event waited before the core took it, from when its sender was
            done with the work that made it; for an event of the input, from its time.
        backlog: µs for which the core was not done once the last event was ready.
        stalled: µs for which the core, its work done, held spikes that found no room further on.
        input_wait: µs that an event of the input was late at the most when the core, which it
            had found full, had room for it; 0 where the input does not send to the core.
    """

    name: str
    events: int
    dropped: int
    busy: float
    span: float
    longest_wait: float
    backlog: float
    stalled: float
    input_wait: float


@dataclass(frozen=True, eq=False)
class LayerOutput:
    """What one monitored layer did on one sample.

    Args:
        counts: `(channel, y, x) int64`, spikes.
        n_spikes: of all neurons.
        potentials: `(channel, y, x) int64`, what its neurons have summed up; None if spikes are
            read out.
        events: `(n,)` event array; None if only counts were kept.
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
            counts: `(n,) int64`, spikes by address.
            memory: `(n or more,) int16`, potentials by address.
            events: `(n,)` event array, or None.
        """
        own, layout = np.empty(core.shape, np.int64), core.memory_map
        n_spikes = count_by_channel(
            counts, layout.shape, layout.first, layout.steps, own.reshape(-1)
        )
        potentials = None
        if core.core.readout == "potential":
            state = layout.view(memory[: own.size]).transpose(2, 0, 1)
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


class KeptSpikes:
    """Collects spikes block by block.

    Args:
        cores: all of the program.
        layers: positions of those whose spikes are kept.
    """

    def __init__(self, cores: Sequence[CoreModel], layers: Iterable[int]) -> None:
        self._places = {index: cores[index].places for index in layers}
        self._blocks: dict[int, list[np.ndarray]] = {index: [] for index in self._places}

    def __bool__(self) -> bool:
        """Return whether any layer's spikes are kept."""
        return bool(self._places)

    def __contains__(self, index: int) -> bool:
        """Return whether a layer's spikes are kept."""
        return index in self._places

    def add(self, index: int, spikes: Queue) -> None:
        """Keep spikes of one layer, if they are to be kept; their arrays may change afterwards."""
        if index not in self or spikes.times is None:
            return
        places = self._places[index]
        block = np.empty(len(spikes), EVENT_DTYPE)
        write_events(
            spikes.codes, spikes.times, places.columns, places.rows, places.channels, block
        )
        self._blocks[index].append(block)

    def events(self, index: int) -> np.ndarray | None:
        """Return one layer's spikes as an event array; None if they aren't kept."""
        if index not in self:
            return None
        # as bytes: numpy would join records field by field
        blocks = [block.view(np.uint8) for block in self._blocks[index]]
        return np.concatenate([np.empty(0, np.uint8), *blocks]).view(EVENT_DTYPE)
