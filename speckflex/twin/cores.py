"""One core of the twin: its constants in the kernel's layout, and its potentials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from speckflex.kernels.count import count_into
from speckflex.kernels.integrate import LANES, LANES_AVAILABLE, CoreArrays, integrate
from speckflex.speck import CORES
from speckflex.twin.cache_lines import zeros_apart
from speckflex.twin.decimator import Decimator
from speckflex.twin.engines import Engines
from speckflex.twin.queues import Queue
from speckflex.twin.routing import Places, column_spans, places_of, row_spans
from speckflex.twin.slow_clock import leak_into

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from speckflex.boards.settings import OutputOrder, TwinSettings
    from speckflex.program import Core

__all__ = ["CoreModel", "Emission", "RunningCore"]

# Room for the spikes of one kernel call: small enough to stay in a processor's second cache.
SPIKES_PER_CALL = 2**15
MASKS_PER_FLUSH = 2**10


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

    Args:
        core: the layer.
        arrivals: for each sender, where its spikes arrive.
        settings: the twin's.
    """

    def __init__(self, core: Core, arrivals: Sequence[Places], settings: TwinSettings) -> None:
        self.core = core
        self.settings = settings
        self.n_senders = len(arrivals)
        self.parallel = core.chip_core is not None and not CORES[core.chip_core].repeatable
        self.overtaking = settings.parallel_window if self.parallel else 1
        self.shape = core.output_shape
        self.weights = _arrange_weights(core.weights, core.stride[1])
        self._set_routes(arrivals)
        self._set_layout()
        wraps = settings.overflow == "wrap"
        self.rule = np.array(
            (
                core.threshold_high,
                core.threshold_low,
                core.return_to_zero,
                wraps,
                LANES_AVAILABLE and not wraps,
            ),
            np.int64,
        )
        channels, height, width = self.shape
        self.initial = np.zeros((height, width, channels), np.int16)
        if core.initial_state is not None:
            self.initial[:] = core.initial_state.transpose(1, 2, 0)
        places = places_of(self.shape)
        self.places = places
        self.rank = _rank(places, settings.output_order)

    def _set_layout(self) -> None:
        core = self.core
        channels, height, width = self.shape
        kernel_y, kernel_x = core.weights.shape[2:]
        stride_y, stride_x = core.stride
        most_rows, most_columns = -(-kernel_y // stride_y), -(-kernel_x // stride_x)
        most_rows, side_by_side = min(most_rows, height), min(most_columns, width) * channels
        self.most_spikes = most_rows * side_by_side
        self.most_masks = most_rows * -(-side_by_side // LANES)
        self.layout = np.array(
            (
                kernel_y,
                most_columns * stride_x * channels,
                stride_y,
                width * channels,
                self.most_spikes,
                self.most_masks,
            ),
            np.int64,
        )

    @property
    def reaches(self) -> np.ndarray:
        """`(m,) bool`, whether an event on each route arrives, be it beside all neurons."""
        # the last row of the spans is for spikes that go nowhere
        return self.routes[:, 1] < len(self.row_spans) - 1

    def updates_per_route(self) -> np.ndarray:
        """Return `(m,) int64`, how many neurons an event on each route updates."""
        rows, columns = self.row_spans[:, 1], self.column_spans[:, 1]
        return rows[self.routes[:, 1]].astype(np.int64) * columns[self.routes[:, 2]]

    def _set_routes(self, arrivals: Sequence[Places]) -> None:
        core = self.core
        height = 1 + max((int(places.rows.max()) for places in arrivals), default=0)
        width = 1 + max((int(places.columns.max()) for places in arrivals), default=0)
        kernel_y, kernel_x = core.weights.shape[2:]
        _, n_rows, n_columns = self.shape
        self.row_spans = row_spans(height, n_rows, kernel_y, core.stride[0], core.padding[0])
        spans = row_spans(width, n_columns, kernel_x, core.stride[1], core.padding[1])
        self.column_spans = column_spans(spans, kernel_x, core.stride[1], self.shape[0])
        # a spike that goes nowhere goes to the row without neurons
        routes = [
            np.column_stack(
                (
                    np.where(places.kept, places.channels, 0),
                    np.where(places.kept, places.rows, height),
                    np.where(places.kept, places.columns, width),
                )
            )
            for places in arrivals
        ]
        self.routes = np.concatenate([np.empty((0, 3), np.int32), *routes], dtype=np.int32)


class RunningCore:
    """A core with its potentials and spike counts.

    Attributes:
        memory: `(y * x * channel + LANES,) int16`, potentials by address.
        pending: scratch of the kernel.
        counts: `(y * x * channel,) int64`, monitored spikes by address, of one sample.
        decimator: passes one of so many spikes on.
    """

    def __init__(self, model: CoreModel) -> None:
        self.model = model
        settings, core = model.settings, model.core
        n_neurons = model.initial.size
        self.memory = zeros_apart(n_neurons + LANES, np.int16)
        self.pending = zeros_apart(model.most_masks + MASKS_PER_FLUSH, np.uint64)
        self.counts = zeros_apart(n_neurons, np.int64)
        self._spikes = zeros_apart(max(SPIKES_PER_CALL, model.most_spikes) + LANES, np.int32)
        self._engines = None
        if settings.engine_times is not None and model.parallel:
            self._engines = Engines(model.updates_per_route(), settings.engine_times)
        self.decimator = Decimator(core, settings)
        self._generator = np.random.default_rng(settings.seed)
        self.reset()

    @property
    def state(self) -> np.ndarray:
        """`(y, x, channel) int16`, the potentials themselves."""
        return self.memory[: self.counts.size].reshape(self.model.initial.shape)

    @property
    def arrays(self) -> CoreArrays:
        """What the kernels need of it."""
        model = self.model
        return CoreArrays(
            model.routes, model.row_spans, model.column_spans, model.weights, self.memory,
            model.layout, model.rule, self.pending,
        )  # fmt: skip

    def move_into(self, memory: np.ndarray, counts: np.ndarray) -> None:
        """Keep potentials and counts in other arrays of the same lengths, and their values."""
        memory[:], counts[:] = self.memory, self.counts
        self.memory, self.counts = memory, counts

    def reset(self) -> None:
        """Set every potential to its initial value, and the decimator to its start."""
        self.state[:] = self.model.initial
        self.decimator.reset()

    def begin_sample(self, sample: int) -> None:
        """Clear the counts; nothing waits."""
        self.counts[:] = 0
        if self.model.overtaking > 1:
            self._generator = np.random.default_rng((self.model.settings.seed, sample))
        if self._engines is not None:
            self._engines.reset()

    def run(self, queue: Queue) -> Iterator[Emission]:
        """Run events through the core and yield its spikes, block by block."""
        if self.model.parallel:
            # what goes nowhere takes no engine's time
            queue = self._arriving(queue)
        if self.model.overtaking > 1:
            places = self._generator.uniform(0, self.model.overtaking, len(queue))
            queue = queue.take(np.argsort(places + np.arange(len(queue)), kind="stable"))
        begun, ends = None, np.empty(len(queue), np.int32)
        if self._engines is not None and queue.moments is not None:
            begun = np.arange(len(queue))
            self._engines.take(queue.codes, queue.moments)
        done = 0
        while done < len(queue):
            start = done
            done, n_spikes = self._integrate(queue.codes, start, begun, ends)
            if n_spikes:
                yield self._emit(queue, start, begun, ends[start:done])

    def _arriving(self, queue: Queue) -> Queue:
        reaches = self.model.reaches[queue.codes]
        return queue if reaches.all() else queue.take(reaches)

    def _integrate(
        self, codes: np.ndarray, start: int, begun: np.ndarray | None, ends: np.ndarray
    ) -> tuple[int, int]:
        """Run the kernel; return how many events are done, and the spikes of this call.

        Args:
            codes: `(n,) int32`.
            start: how many events are done.
            begun: `(n,) int64`, the events in the order they were begun, changed in place; None
                where that is their own order.
            ends: `(n,) int32`, written: for each of them, where its spikes end.
        """
        if self._engines is not None and begun is not None:
            return self._engines.run(codes, begun, self.arrays, self._spikes, ends)
        return integrate(codes, start, self.arrays, self._spikes, ends)

    def leak(self, n_ticks: int) -> np.ndarray:
        """Add the bias once a tick; return the addresses of neurons that fire at the last one."""
        core, settings = self.model.core, self.model.settings
        if core.bias is None:
            return np.empty(0, np.int32)
        leak_into(self.state, core.bias, core.threshold_low, n_ticks)
        if settings.leak_spikes == "at next event":
            return np.empty(0, np.int32)
        fired = np.flatnonzero(self.memory[: self.counts.size] >= core.threshold_high)
        if core.return_to_zero:
            self.memory[fired] = 0
        else:
            self.memory[fired] -= core.threshold_high
        if self.model.rank is not None:
            fired = fired[np.argsort(self.model.rank[fired])]
        return fired.astype(np.int32)

    def send(self, spikes: Queue) -> Emission:
        """Count spikes and return what monitors see and what the destinations get."""
        sent = spikes
        if self.decimator.ratio > 1:
            sent = spikes.take(self.decimator.passing(len(spikes)))
        after = self.model.settings.decimator_monitor == "after"
        monitored = sent if after else spikes
        count_into(monitored.codes, self.counts)
        return Emission(monitored, sent)

    def _emit(
        self, queue: Queue, start: int, begun: np.ndarray | None, ends: np.ndarray
    ) -> Emission:
        addresses, rank = self._spikes[: ends[-1]], self.model.rank
        if rank is None and queue.is_bare:
            return self.send(Queue(addresses))
        places = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
        if rank is not None:
            addresses = addresses[np.lexsort((rank[addresses], places))]
        events = places + start
        return self.send(queue.follow(events if begun is None else begun[events], addresses))


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


def _rank(places: Places, output_order: OutputOrder) -> np.ndarray | None:
    """Return each address's place in the order of output; None where it is the address itself."""
    if output_order == "yxc":
        return None
    axes = {"c": places.channels, "y": places.rows, "x": places.columns}
    rank = np.empty(len(places.rows), np.int64)
    # lexsort takes its first key last
    rank[np.lexsort([axes[axis] for axis in reversed(output_order)])] = np.arange(len(rank))
    return rank
