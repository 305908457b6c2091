"""One core of the twin: its constants in the kernel's layout, its potentials, its decimator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from speckflex.kernels.count import count_into
from speckflex.kernels.integrate import LANES, LANES_AVAILABLE
from speckflex.kernels.records import LAYOUT, ROUTE, RULE
from speckflex.program.routing import column_spans, row_spans
from speckflex.twin._memory_map import MemoryMap, TurnedAxis
from speckflex.twin._slow_clock import leak_into
from speckflex.twin.output_order import OutputOrder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.program.records import Core
    from speckflex.program.routing import Places
    from speckflex.twin._queues import Queue
    from speckflex.twin.settings import TwinSettings

__all__ = ["CoreModel", "Decimator", "Emission", "RunningCore", "zeros_apart"]

# Room for the spikes of one kernel call: small enough to stay in a processor's second cache.
SPIKES_PER_CALL = 2**15
MASKS_PER_FLUSH = 2**10
CACHE_LINES = 128  # bytes: processors fetch lines of 64 in pairs


@dataclass(frozen=True, eq=False)
class Emission:
    """Spikes of one core in the order they left it; valid only until the core runs again.

    Args:
        monitored: what a monitor sees.
        sent: what the destinations get.
    """

    monitored: Queue
    sent: Queue


class CoreModel:
    """What never changes while a core runs; shared by all threads.

    Attributes:
        routes: `(m,) ROUTE`, of every address of every sender.
        reaches: `(m,) bool`, whether an event on each route arrives, even if it reaches no neuron.

    Args:
        core: the layer.
        arrivals: for each sender, where its spikes arrive.
        settings: the twin's.
        parallel: whether the layer is on a core whose two engines compute in parallel.
    """

    def __init__(
        self,
        core: Core,
        arrivals: Sequence[Places],
        settings: TwinSettings,
        *,
        parallel: bool = False,
    ) -> None:
        self.core = core
        self.settings = settings
        self.n_senders = len(arrivals)
        self.parallel = parallel
        self.overtaking = settings.parallel_window if self.parallel else 1
        self.shape = core.output_shape
        self.memory_map = layout = MemoryMap(self.shape, OutputOrder.parse(settings.output_order))
        self.places = layout.places
        self.rows, self.columns = self._axes(arrivals)
        self.weights = _arrange_weights(layout.weights(core.weights), self.columns.stride)
        self._set_layout()
        self._set_routes(arrivals)
        self.rule = np.zeros(1, RULE)
        self.rule["high"], self.rule["low"] = core.threshold_high, core.threshold_low
        self.rule["to_zero"] = core.return_to_zero
        self.rule["wraps"] = settings.overflow == "wrap"
        self.rule["cuts_last"] = settings.overflow == "compare before cutting to 16 bits"
        fails = parallel and settings.leak_cores_01 == "none"
        self.bias = None if core.bias is None or fails else layout.by_channel(core.bias)
        self.withholds = parallel and settings.withheld_spike == "last"
        self.initial = np.zeros(layout.places.kept.size, np.int16)
        if core.initial_state is not None:
            layout.view(self.initial)[:] = core.initial_state.transpose(1, 2, 0)

    def _set_layout(self) -> None:
        rows, columns, n_channels = self.rows, self.columns, self.shape[0]
        most_rows = min(-(-rows.kernel // rows.stride), rows.n_neurons)
        taps = -(-columns.kernel // columns.stride)
        side_by_side = min(taps, columns.n_neurons) * n_channels
        self.most_spikes = most_rows * side_by_side
        self.most_masks = most_rows * -(-side_by_side // LANES)
        self.layout = layout = np.zeros(1, LAYOUT)
        layout["stride_y"] = rows.stride
        layout["row_weights"] = taps * columns.stride * n_channels
        layout["row_neurons"] = columns.n_neurons * n_channels
        layout["channels"], layout["grouping"] = n_channels, self.memory_map.grouping
        layout["most_spikes"], layout["most_masks"] = self.most_spikes, self.most_masks
        layout["by_lanes"] = LANES_AVAILABLE and self.settings.overflow == "saturate"

    def updates_per_route(self) -> np.ndarray:
        """Return `(m,) int64`, how many neurons an event on each route updates."""
        return self.routes["n_rows"].astype(np.int64) * self.routes["n_neurons"]

    def _axes(self, arrivals: Sequence[Places]) -> list[TurnedAxis]:
        """Return the outer and the inner one of y and x, over all places where spikes arrive."""
        height = 1 + max((int(places.rows.max()) for places in arrivals), default=0)
        width = 1 + max((int(places.columns.max()) for places in arrivals), default=0)
        sizes, layout = {"y": height, "x": width}, self.memory_map
        return [
            TurnedAxis.of(self.core, axis, sizes[axis], falls=layout.falls(axis))
            for axis in layout.axes
        ]

    def _set_routes(self, arrivals: Sequence[Places]) -> None:
        layout, columns = self.layout, self.columns
        row_table, spans = _spans(self.rows), _spans(columns)
        column_table = column_spans(spans, columns.kernel, columns.stride, self.shape[0])
        n_inputs = self.core.weights.shape[1]
        reaches, routes = [np.zeros(0, np.bool_)], [np.zeros(0, ROUTE)]
        for places in arrivals:
            kept = places.kept & (places.channels < n_inputs)
            outer, inner = places.rows, places.columns
            if self.memory_map.axes == "xy":
                outer, inner = inner, outer
            # a spike that goes nowhere goes to the last row of each table, without neurons
            rows = row_table[np.where(kept, self.rows.inputs(outer), self.rows.n_inputs)]
            beside = column_table[np.where(kept, columns.inputs(inner), columns.n_inputs)]
            taps = np.where(kept, places.channels, 0) * self.rows.kernel + rows["kernel_row"]
            own = np.zeros(len(kept), ROUTE)
            own["neuron"] = rows["first"] * layout["row_neurons"] + beside["first"]
            own["weight"] = taps * layout["row_weights"] + beside["weight"]
            own["n_rows"], own["n_neurons"] = rows["n_rows"], beside["n_neurons"]
            reaches.append(kept)
            routes.append(own)
        self.reaches, self.routes = np.concatenate(reaches), np.concatenate(routes)


class RunningCore:
    """A core with its potentials and spike counts.

    Attributes:
        memory: `(n + LANES,) int16`, potentials by address.
        counts: `(n,) int64`, monitored spikes by address, of one sample.
        decimator: passes one of so many spikes on.
    """

    def __init__(self, model: CoreModel) -> None:
        self.model = model
        n_neurons = model.initial.size
        self.memory = zeros_apart(n_neurons + LANES, np.int16)
        self.counts = zeros_apart(n_neurons, np.int64)
        self.decimator = Decimator(model.core, model.settings)
        self._withheld = np.empty(0, np.int32)
        self.reset()

    @property
    def state(self) -> np.ndarray:
        """`(y, x, channel) int16`, the potentials themselves, as a view of the memory."""
        return self.model.memory_map.view(self.memory[: self.counts.size])

    def move_into(self, memory: np.ndarray, counts: np.ndarray) -> None:
        """Keep potentials and counts in other arrays of the same lengths, and their values."""
        memory[:], counts[:] = self.memory, self.counts
        self.memory, self.counts = memory, counts

    def reset(self) -> None:
        """Set every potential to its initial value, the decimator to its start; nothing is kept."""
        self.memory[: self.counts.size] = self.model.initial
        self.decimator.reset()
        self._withheld = np.empty(0, np.int32)

    def begin_sample(self) -> None:
        """Clear the counts."""
        self.counts[:] = 0

    def leak(self, n_ticks: int) -> np.ndarray:
        """Add the bias once a tick; return the addresses of neurons that fire at the last one."""
        model, core, settings = self.model, self.model.core, self.model.settings
        if model.bias is None:
            return np.empty(0, np.int32)
        in_memory = self.memory[: self.counts.size].reshape(model.memory_map.shape)
        leak_into(in_memory, model.bias, core.threshold_low, n_ticks)
        if settings.leak_spikes == "at next event":
            return np.empty(0, np.int32)
        fired = np.flatnonzero(self.memory[: self.counts.size] >= core.threshold_high)
        if core.return_to_zero:
            self.memory[fired] = 0
        else:
            self.memory[fired] -= core.threshold_high
        return model.memory_map.in_order(fired).astype(np.int32)

    def send(self, spikes: Queue) -> Emission:
        """Count spikes and return what monitors see and what the destinations get."""
        if self.model.withholds:
            spikes = self._pushed_out(spikes)
        sent = spikes
        if self.decimator.ratio > 1:
            sent = spikes.take(self.decimator.passing(len(spikes)))
        after = self.model.settings.decimator_monitor == "after"
        monitored = sent if after else spikes
        count_into(monitored.codes, self.counts)
        return Emission(monitored, sent)

    def _pushed_out(self, spikes: Queue) -> Queue:
        """Return the spikes that leave, each pushed out by the next one; the last stays inside."""
        codes = np.concatenate((self._withheld, spikes.codes))
        n_before = len(self._withheld)
        self._withheld = codes[-1:].copy()
        leaving = slice(1 - n_before, None)
        return spikes.follow(leaving, codes[:-1])


class Decimator:
    """Counts a core's spikes and passes one in N.

    Attributes:
        ratio: N; 1 if no decimator is on.
        phase: which of N passes, counted from 0.
    """

    def __init__(self, core: Core, settings: TwinSettings) -> None:
        interval = core.decimator_interval
        self.ratio = 1 if interval is None else settings.ratios[interval]
        self.phase = self.ratio - 1 if settings.decimator_passes == "last" else 0
        self._seen = np.zeros(1, np.int64)

    @property
    def seen(self) -> int:
        """How many spikes came before."""
        return int(self._seen[0])

    @seen.setter
    def seen(self, value: int) -> None:
        self._seen[0] = value

    def move_into(self, seen: np.ndarray) -> None:
        """Keep how many spikes came before in another array, `(1,) int64`, and its value."""
        seen[:] = self._seen
        self._seen = seen

    def reset(self) -> None:
        """Start to count from zero."""
        self.seen = 0

    def passing(self, n_spikes: int) -> slice:
        """Return which of the next spikes pass."""
        first = (self.phase - self.seen) % self.ratio
        self.seen += n_spikes
        return slice(first, None, self.ratio)


def zeros_apart(size: int, dtype: type[np.generic] | np.dtype) -> np.ndarray:
    """Return an array that shares no cache line with another one.

    Threads write to the arrays of their machines all the time. If two such arrays share a line, as
    those of small layers would, each write takes the line from the other processor.
    """
    n_bytes = int(size) * np.dtype(dtype).itemsize
    room = np.zeros(n_bytes + 2 * CACHE_LINES, np.uint8)
    start = -room.ctypes.data % CACHE_LINES
    return room[start : start + n_bytes].view(dtype)


def _spans(axis: TurnedAxis) -> np.ndarray:
    return row_spans(axis.n_inputs, axis.n_neurons, axis.kernel, axis.stride, axis.padding)


def _arrange_weights(weights: np.ndarray, stride: int) -> np.ndarray:
    """Return (out, in, ky, kx) weights as (in, ky, phase, tap reversed, out), flat and padded."""
    n_out, n_in, kernel_y, kernel_x = weights.shape
    per_phase = -(-kernel_x // stride)
    padded = np.zeros((n_out, n_in, kernel_y, per_phase * stride), np.int8)
    padded[..., :kernel_x] = weights
    by_phase = padded.reshape(n_out, n_in, kernel_y, per_phase, stride)[:, :, :, ::-1]
    arranged = np.zeros(padded.size + LANES, np.int8)
    arranged[: padded.size] = by_phase.transpose(1, 2, 4, 3, 0).reshape(-1)
    return arranged
