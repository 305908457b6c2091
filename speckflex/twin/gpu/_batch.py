"""Samples at play on a GPU, all of them at once, from their events to their layers' outputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from speckflex.kernels.cuda_batch import GATHERING, gather_batch
from speckflex.kernels.cuda_device import allocate, launch, upload
from speckflex.twin._entrance import Entrance
from speckflex.twin._queues import Queue, concatenate_queues
from speckflex.twin.gpu._core import DeviceCore, DeviceNeurons, DeviceQueue, DeviceRunningCore
from speckflex.twin.machine import LayerOutput, SampleOutput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.program.routing import Edge
    from speckflex.twin.machine import Machine, MachineModel

__all__ = ["DeviceBatch", "TreeBatch"]

GATHERING_THREADS = 256


class DeviceBatch(ABC):
    """The neurons of many samples on a GPU, and how events come in and results out.

    Args:
        model: of the program.
        cores: the neurons of each core.
        monitor: positions of the layers to report.
        keep_events: keep the spikes, not their counts alone.
    """

    def __init__(
        self,
        model: MachineModel,
        cores: Sequence[DeviceNeurons],
        monitor: Sequence[int],
        *,
        keep_events: bool,
    ) -> None:
        n_samples = len(cores[0].seen)
        self._model, self._cores = model, cores
        self._monitor = monitor
        self._with_times = keep_events and bool(monitor)
        self._ticks = np.zeros(n_samples, np.int64)
        self._entrances = [Entrance(model) for _ in range(n_samples)]
        kept_layers = monitor if keep_events else ()
        self._kept = [model.keep(kept_layers) for _ in range(n_samples)]

    @abstractmethod
    def _run(self, queue: DeviceQueue) -> None:
        """Run events of the input through all cores, and keep the spikes that are wanted."""

    def begin(self) -> None:
        """Set every neuron to its initial state."""
        for core in self._cores:
            core.begin()

    def take(self, machine: Machine) -> None:
        """Go on from the neurons of a machine, with one sample."""
        for core, host in zip(self._cores, machine.cores, strict=True):
            core.take(host)

    def give(self, machine: Machine) -> None:
        """Leave the neurons of the last sample to a machine."""
        for core, host in zip(self._cores, machine.cores, strict=True):
            core.give(host)

    def feed(self, samples: Sequence[np.ndarray]) -> None:
        """Run further events of each sample through all cores, between the slow clock's ticks."""
        entries = [
            entrance.admit(events, with_times=self._with_times)
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
            self._run(DeviceQueue(*columns, first, ends[:, part] - first))

    def outputs(self) -> list[SampleOutput]:
        """Return what the monitored layers did on each sample."""
        layers = [self._layer_outputs(index) for index in self._monitor]
        return [
            SampleOutput.of(tuple(layer[sample] for layer in layers), entrance.n_events)
            for sample, entrance in enumerate(self._entrances)
        ]

    def _tick(self, ticks: np.ndarray) -> None:
        """Leak all cores until the slow clock has ticked so often, `(samples,) int64`."""
        if (ticks > self._ticks).any():
            for core in self._cores:
                core.leak(ticks - self._ticks)
        self._ticks = ticks

    def _layer_outputs(self, index: int) -> list[LayerOutput]:
        core, model = self._cores[index], self._model.cores[index]
        columns = core.counts.copy_to_host(), core.state.copy_to_host()
        return [
            LayerOutput.of(model, counts, state, kept.events(index))
            for counts, state, kept in zip(*columns, self._kept, strict=True)
        ]

    def _keep(self, index: int, spikes: DeviceQueue) -> None:
        n_spikes = int(spikes.lengths.sum())
        if not (self._with_times and index in self._monitor and n_spikes):
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


class TreeBatch(DeviceBatch):
    """The neurons of many samples on a GPU, and the queues between their cores.

    Each core has one sender. It is started once for all samples, and again while one of them
    had no room for its spikes; what it sends goes through the cores behind it before it is
    started again.

    Args:
        model: of the program.
        cores: its cores on the GPU.
        n_samples: how many samples play.
        monitor: positions of the layers to report.
        keep_events: keep the spikes, not their counts alone.
    """

    def __init__(
        self,
        model: MachineModel,
        cores: Sequence[DeviceCore],
        n_samples: int,
        monitor: Sequence[int],
        *,
        keep_events: bool,
    ) -> None:
        with_times = keep_events and bool(monitor)
        self._running = [
            DeviceRunningCore(core, n_samples, with_times=with_times) for core in cores
        ]
        super().__init__(model, self._running, monitor, keep_events=keep_events)

    def _run(self, queue: DeviceQueue) -> None:
        self._flow(self._model.input_edges, queue)

    def _flow(self, edges: Sequence[Edge], queue: DeviceQueue) -> None:
        """Send spikes along the edges of one sender, and on to the end of the network."""
        for edge in edges:
            for emission in self._running[edge.target].run(queue):
                self._keep(edge.target, emission.monitored)
                self._flow(self._model.edges[edge.target], emission.sent)


def _table(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Return rows of different lengths as an array, each filled up with its last value."""
    width = max(map(len, rows))
    return np.stack([np.pad(row, (0, width - len(row)), "edge") for row in rows])
