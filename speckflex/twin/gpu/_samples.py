"""Many samples that play on a GPU at once, from their events to the outputs of their layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from speckflex.kernels.cuda_batch import GATHERING, gather_batch
from speckflex.kernels.cuda_device import allocate, launch, upload
from speckflex.twin._entrance import Entrance
from speckflex.twin._queues import Queue, concatenate_queues
from speckflex.twin.gpu._core import DeviceNeurons, DeviceQueue
from speckflex.twin.outputs import KeptSpikes, LayerOutput, SampleOutput

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from speckflex.twin.graph import Graph
    from speckflex.twin.machine import Machine

__all__ = ["DevicePassage", "DeviceSamples"]

GATHERING_THREADS = 256


class DevicePassage(Protocol):
    """How spikes pass through the cores on a GPU, in many samples at once."""

    @property
    def cores(self) -> Sequence[DeviceNeurons]:
        """The neurons of each core."""
        ...

    def run(self, queue: DeviceQueue) -> Iterator[tuple[int, DeviceQueue]]:
        """Run events of the input through all cores.

        Returns:
            for blocks of spikes that a monitor sees, the core's position and the spikes, which
            are valid until the next block.
        """
        ...


class DeviceSamples:
    """Many samples that play on a GPU: how events come in and results go out.

    Args:
        graph: of the program.
        passage: how spikes pass through its cores.
        monitor: positions of the layers to report.
        keep_events: keep the spikes, not their counts alone.
    """

    def __init__(
        self, graph: Graph, passage: DevicePassage, monitor: Sequence[int], *, keep_events: bool
    ) -> None:
        self._graph, self._passage, self._monitor = graph, passage, monitor
        n_samples = len(passage.cores[0].seen)
        self._ticks = np.zeros(n_samples, np.int64)
        self._entrances = [Entrance(graph) for _ in range(n_samples)]
        kept_layers = monitor if keep_events else ()
        self._kept = [KeptSpikes(graph.cores, kept_layers) for _ in range(n_samples)]

    def begin(self) -> None:
        """Set every neuron to its initial state."""
        for core in self._passage.cores:
            core.begin()

    def take(self, machine: Machine) -> None:
        """Go on from the neurons of a machine, with one sample."""
        for core, host in zip(self._passage.cores, machine.cores, strict=True):
            core.take(host)

    def give(self, machine: Machine) -> None:
        """Leave the neurons of the last sample to a machine."""
        for core, host in zip(self._passage.cores, machine.cores, strict=True):
            core.give(host)

    def feed(self, samples: Sequence[np.ndarray]) -> None:
        """Run further events of each sample through all cores, between the slow clock's ticks."""
        entries = [
            entrance.admit(events, with_times=bool(self._kept[0]))
            for entrance, events in zip(self._entrances, samples, strict=True)
        ]
        # never empty
        nothing = np.zeros(1, np.int64)
        filler = Queue(np.zeros(1, np.int32), nothing)
        joined = concatenate_queues([*(entry.queue for entry in entries), filler])
        columns = (upload(joined.codes), upload(nothing if joined.times is None else joined.times))
        sizes = np.array([len(entry.queue) for entry in entries])
        ends = np.cumsum(sizes)[:, None] - sizes[:, None] + _table([e.ends for e in entries])
        begins = np.column_stack((np.cumsum(sizes) - sizes, ends))
        ticks = _table([entry.ticks for entry in entries])
        for part in range(ends.shape[1]):
            self._tick(ticks[:, part])
            first = begins[:, part]
            for index, spikes in self._passage.run(
                DeviceQueue(*columns, first, ends[:, part] - first)
            ):
                self._keep(index, spikes)

    def outputs(self) -> list[SampleOutput]:
        """Return what the monitored layers did on each sample."""
        layers = [self._layer_outputs(index) for index in self._monitor]
        return [
            SampleOutput.of(tuple(layer[sample] for layer in layers), entrance.n_events)
            for sample, entrance in enumerate(self._entrances)
        ]

    def _tick(self, ticks: np.ndarray) -> None:
        """Leak all cores up to these counts of the slow clock's ticks, `(samples,) int64`."""
        if (ticks > self._ticks).any():
            for core in self._passage.cores:
                core.leak(ticks - self._ticks)
        self._ticks = ticks

    def _layer_outputs(self, index: int) -> list[LayerOutput]:
        core, model = self._passage.cores[index], self._graph.cores[index]
        columns = core.counts.copy_to_host(), core.state.copy_to_host()
        return [
            LayerOutput.of(model, counts, state, kept.events(index))
            for counts, state, kept in zip(*columns, self._kept, strict=True)
        ]

    def _keep(self, index: int, spikes: DeviceQueue) -> None:
        n_spikes = int(spikes.lengths.sum())
        if not n_spikes or index not in self._kept[0]:
            return
        ends = np.cumsum(spikes.lengths)
        parts = np.zeros(len(ends), GATHERING)
        parts["first"], parts["n_spikes"] = spikes.first, spikes.lengths
        parts["target"] = ends - spikes.lengths
        codes, times = allocate(n_spikes, np.int32), allocate(n_spikes, np.int64)
        launch(
            gather_batch, len(ends), GATHERING_THREADS, spikes.codes, spikes.times, spikes.stride,
            upload(parts), codes, times,
        )  # fmt: skip
        columns = (np.split(array.copy_to_host(), ends[:-1]) for array in (codes, times))
        for kept, codes_of_one, times_of_one in zip(self._kept, *columns, strict=True):
            kept.add(index, Queue(codes_of_one, times_of_one))


def _table(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Return rows of different lengths as an array, each filled up with its last value."""
    width = max(map(len, rows))
    return np.stack([np.pad(row, (0, width - len(row)), "edge") for row in rows])
