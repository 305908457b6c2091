"""One core of the twin on a GPU, for many samples at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex.kernels.cuda_batch import begin_batch, leak_batch
from speckflex.kernels.cuda_device import allocate, launch, upload
from speckflex.kernels.cuda_integrate import FLAGS, MOST_THREADS, integrate_batch
from speckflex.twin.decimator import Decimator

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
        times: int64 on the GPU, µs, as long; anything where nobody asks.
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
        self.initial = upload(model.initial.reshape(-1))
        self.decimator = Decimator(model.core, model.settings)
        self.fields, self.layout = _fields(model), np.append(_steps(model), model.most_spikes)
        self.rule = _rule(model, self.decimator)
        self.tables = tuple(map(upload, (self.fields, model.weights, self.layout, self.rule)))
        bias = model.core.bias
        self.bias = None if bias is None else upload(bias)

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
        # no array is empty: that drivers are asked for none is one thing less to go wrong
        self._times = allocate((n_samples, core.room if with_times else 1), np.int64)
        self._progress = allocate((n_samples, 2), np.int64)

    def run(self, queue: DeviceQueue) -> Iterator[DeviceEmission]:
        """Run events through the core and yield its spikes, block by block."""
        arguments = (queue.codes, queue.times, int(self._with_times), queue.stride)
        done = np.zeros_like(queue.lengths)
        while (done < queue.lengths).any():
            parts = upload(np.column_stack((queue.first, queue.lengths, done, self.seen)))
            self._launch(
                integrate_batch, *arguments, parts, *self.core.tables, self.state, self.counts,
                self._spikes, self._times, self._progress,
            )  # fmt: skip
            done, n_spikes = self._progress.copy_to_host().T
            if n_spikes.any():
                yield self._emit(n_spikes)

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
    """Return `(m + 1, 5) int32`: first neuron, first weight and extents of each route's field."""
    channel, y, x = model.routes.astype(np.int64).T
    row, n_rows, kernel_row = model.row_spans[y].astype(np.int64).T
    first, n_neurons, first_weight = model.column_spans[x].astype(np.int64).T
    n_kernel_rows, row_weights, _, row_neurons = model.layout[:4]
    neuron = row * row_neurons + first
    tap = (channel * n_kernel_rows + kernel_row) * row_weights + first_weight
    n_channels = model.shape[0]
    extents = {"y": n_rows, "x": n_neurons // n_channels, "c": np.full_like(row, n_channels)}
    order = model.settings.output_order
    columns = [extents[axis] for axis in order]
    if order == "yxc":
        # x and channel are one run
        columns = [np.ones_like(row), n_rows, n_neurons]
    table = np.column_stack((neuron, tap, *columns)).astype(np.int32)
    # never empty, be there senders or not
    return np.vstack((table, np.zeros(5, np.int32)))


def _steps(model: CoreModel) -> np.ndarray:
    """Return `(6,) int64`: steps of neuron and weight along outer, middle and inner axis."""
    _, row_weights, stride_y, row_neurons = model.layout[:4]
    n_channels, order = model.shape[0], model.settings.output_order
    steps = {
        "y": (row_neurons, -stride_y * row_weights),
        "x": (n_channels, n_channels),
        "c": (1, 1),
    }
    axes = "cyc" if order == "yxc" else order
    return np.array([steps[axis] for axis in axes], np.int64).reshape(-1)


def _rule(model: CoreModel, decimator: Decimator) -> np.ndarray:
    """Return `(7,) int64`: thresholds, resets and what is counted."""
    after = model.settings.decimator_monitor == "after"
    return np.array((*model.rule[:4], decimator.ratio, decimator.phase, after), np.int64)
