"""One core of the twin on a GPU, for many samples at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex.kernels.cuda_batch import begin_batch, leak_batch
from speckflex.kernels.cuda_device import allocate, launch, upload
from speckflex.kernels.cuda_integrate import (
    DEVICE_CORE,
    FIELD,
    FLAGS,
    MOST_THREADS,
    PART,
    PROGRESS,
    integrate_batch,
)
from speckflex.kernels.records import ALL, BY_EVENT, BY_ROW, PASSING, RULE, UNGROUPED
from speckflex.twin.cores import Decimator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from speckflex.twin.cores import CoreModel, RunningCore

__all__ = ["DeviceCore", "DeviceNeurons", "DeviceQueue", "DeviceRunningCore"]

# Room for the spikes of one sample in one start of the kernel.
SPIKES_PER_START = 2**13


@dataclass(frozen=True, eq=False)
class DeviceQueue:
    """Spikes of many samples in order, in the GPU's memory.

    Args:
        codes: int32 on the GPU, addresses in the sender's map.
        times: int64 on the GPU, µs, of the same length; any values if times are not used.
        first: `(samples,) int64`, where each sample's spikes begin.
        lengths: `(samples,) int64`, how many each has.
        stride: the step from one spike of a sample to its next.
    """

    codes: Any
    times: Any
    first: np.ndarray
    lengths: np.ndarray
    stride: int = 1


@dataclass(frozen=True, eq=False)
class DeviceEmission:
    """Spikes of one core in the order they left it; valid only until the core runs again.

    Args:
        monitored: what a monitor sees.
        sent: what the destinations get.
    """

    monitored: DeviceQueue
    sent: DeviceQueue


class DeviceCore:
    """What never changes while a core runs, in the GPU's memory.

    Args:
        model: the core.
    """

    def __init__(self, model: CoreModel) -> None:
        self.model = model
        self.room = max(SPIKES_PER_START, model.most_spikes)
        self.n_neurons = model.initial.size
        self.n_threads = min(MOST_THREADS, -(-model.most_spikes // FLAGS) * FLAGS)
        self.initial = upload(model.initial)
        self.decimator = Decimator(model.core, model.settings)
        self.fields, self.constants = _fields(model), _constants(model, self.decimator)
        self.tables = tuple(map(upload, (self.fields, model.weights, self.constants)))
        self.bias = None if model.bias is None else upload(model.bias)

    def bytes_per_sample(self, *, with_times: bool) -> int:
        """Return how much of the GPU's memory the neurons and spikes of one sample take."""
        state_and_count, address, time, progress = 2 + 8, 4, 8, 2 * 8
        n_times = self.room if with_times else 1
        return self.n_neurons * state_and_count + self.room * address + n_times * time + progress


class DeviceNeurons:
    """A core's potentials and spike counts in many samples.

    Attributes:
        core: the core.
        seen: `(samples,) int64`, how many spikes each sample had before.

    Args:
        core: the core.
        state: `(samples, y * x * channel) int16` on the GPU, potentials by address.
        counts: `(samples, y * x * channel) int64` on the GPU, monitored spikes by address.
    """

    def __init__(self, core: DeviceCore, state: Any, counts: Any) -> None:
        self.core = core
        self.state, self.counts = state, counts
        self.seen = np.zeros(len(state), np.int64)

    def begin(self) -> None:
        """Set every neuron to its initial state and clear the counts."""
        self._begin(self.core.initial)
        self.seen[:] = 0

    def take(self, host: RunningCore) -> None:
        """Go on from the neurons and the decimator of a core of the CPU's, with one sample."""
        self._begin(upload(host.memory[: self.core.n_neurons]))
        self.seen[:] = host.decimator.seen

    def give(self, host: RunningCore) -> None:
        """Leave the neurons and the decimator of the last sample to a core of the CPU's."""
        last = len(self.seen) - 1
        host.memory[: self.core.n_neurons] = self.state[last].copy_to_host()
        host.decimator.seen = int(self.seen[last])

    def leak(self, n_ticks: np.ndarray) -> None:
        """Add the bias `n_ticks` times, `(samples,) int64`."""
        if self.core.bias is not None:
            low = self.core.model.core.threshold_low
            self._launch(leak_batch, self.core.bias, low, upload(n_ticks), self.state)

    def _begin(self, initial: Any) -> None:
        self._launch(begin_batch, initial, self.state, self.counts)

    def _launch(self, kernel: Any, *arguments: Any) -> None:
        launch(kernel, len(self.seen), self.core.n_threads, *arguments)


class DeviceRunningCore(DeviceNeurons):
    """A core that runs by itself, on whole queues, in many samples.

    Args:
        core: the core.
        n_samples: how many samples.
        with_times: keep the time of each spike.
    """

    def __init__(self, core: DeviceCore, n_samples: int, *, with_times: bool) -> None:
        shape = (n_samples, core.n_neurons)
        super().__init__(core, allocate(shape, np.int16), allocate(shape, np.int64))
        self._with_times = with_times
        self._spikes = allocate((n_samples, core.room), np.int32)
        # no array is empty, so that no driver has to handle an empty one
        self._times = allocate((n_samples, core.room if with_times else 1), np.int64)
        self._progress = allocate(n_samples, PROGRESS)

    def run(self, queue: DeviceQueue) -> Iterator[DeviceEmission]:
        """Run events through the core and yield its spikes, block by block."""
        arguments = (queue.codes, queue.times, int(self._with_times), queue.stride)
        done = np.zeros_like(queue.lengths)
        while (done < queue.lengths).any():
            parts = np.zeros(len(done), PART)
            parts["first"], parts["n_events"] = queue.first, queue.lengths
            parts["n_done"], parts["n_fired"] = done, self.seen
            self._launch(
                integrate_batch, *arguments, upload(parts), *self.core.tables, self.state,
                self.counts, self._spikes, self._times, self._progress,
            )  # fmt: skip
            progress = self._progress.copy_to_host()
            done = progress["n_done"]
            if progress["n_spikes"].any():
                yield self._emit(progress["n_spikes"])

    def _emit(self, n_spikes: np.ndarray) -> DeviceEmission:
        """Return the spikes of one start of the kernel, of which each sample has `n_spikes`."""
        first = np.arange(len(n_spikes)) * self.core.room
        columns = (self._spikes.reshape(-1), self._times.reshape(-1))
        spikes = sent = DeviceQueue(*columns, first, n_spikes)
        ratio = self.core.decimator.ratio
        if ratio > 1:
            skipped = (self.core.decimator.phase - self.seen) % ratio
            passed = np.maximum(n_spikes - skipped + ratio - 1, 0) // ratio
            sent = DeviceQueue(*columns, first + skipped, passed, ratio)
        self.seen += n_spikes
        after = self.core.model.settings.decimator_monitor == "after"
        return DeviceEmission(sent if after else spikes, sent)


def _fields(model: CoreModel) -> np.ndarray:
    """Return `(m + 1,) FIELD`, the field of each route, and one behind them without neurons."""
    routes, n_channels = model.routes, model.shape[0]
    n_rows, n_columns = routes["n_rows"], routes["n_neurons"] // n_channels
    sizes = {
        # side by side, places and channels are one run
        UNGROUPED: (1, n_rows, routes["n_neurons"]),
        BY_ROW: (n_rows, n_channels, n_columns),
        BY_EVENT: (n_channels, n_rows, n_columns),
    }[model.memory_map.grouping]
    # so the table is never empty, with senders or without
    table = np.zeros(len(routes) + 1, FIELD)
    table["neuron"][:-1], table["weight"][:-1] = routes["neuron"], routes["weight"]
    for name, size in zip(("n_outer", "n_middle", "n_inner"), sizes, strict=True):
        table[name][:-1] = size
    return table


def _constants(model: CoreModel, decimator: Decimator) -> np.ndarray:
    """Return `(1,) DEVICE_CORE`, of a core that stands by itself."""
    core = np.zeros(1, DEVICE_CORE)
    layout, n_channels = model.layout, model.shape[0]
    row = (layout["row_neurons"], -layout["stride_y"] * layout["row_weights"])
    column, channel = (n_channels, n_channels), (1, 1)
    steps = {
        # there is one outer place, so its step is of no matter
        UNGROUPED: (channel, row, channel),
        BY_ROW: (row, channel, column),
        BY_EVENT: (channel, row, column),
    }[model.memory_map.grouping]
    for place, step in zip(("outer", "middle", "inner"), steps, strict=True):
        core[f"{place}_neurons"], core[f"{place}_weights"] = step
    core["most_spikes"], core["n_neurons"] = model.most_spikes, model.initial.size
    for name in {*(RULE.names or ())} & {*(DEVICE_CORE.names or ())}:
        core[name] = model.rule[name]
    core["ratio"], core["passing"] = decimator.ratio, decimator.phase
    core["monitors"] = PASSING if model.settings.decimator_monitor == "after" else ALL
    return core
