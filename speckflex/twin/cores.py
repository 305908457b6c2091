"""One core of the twin: its constants in the kernel's layout, and its potentials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from speckflex.kernels.count import count_into
from speckflex.kernels.integrate import LANES, LANES_AVAILABLE, integrate
from speckflex.twin.routing import Places, column_spans, places_of, row_spans

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from speckflex.boards.settings import OutputOrder, TwinSettings
    from speckflex.program import Core

__all__ = ["CoreModel", "RunningCore", "SpikeBlock"]

# Room for the spikes of one kernel call: small enough to stay in a processor's second cache.
SPIKES_PER_CALL = 2**15
MASKS_PER_FLUSH = 2**10


@dataclass(frozen=True, eq=False)
class SpikeBlock:
    """Spikes of one core in the order they left it.

    Args:
        addresses: `(n,) int32`; valid only until the core runs again.
        parents: `(n,) int64`, index of the event that caused each; None where not asked for.
    """

    addresses: np.ndarray
    parents: np.ndarray | None


class CoreModel:
    """What never changes while a core runs; shared by all threads.

    Args:
        core: the layer.
        arrivals: for each sender, where its spikes arrive.
        settings: the twin's.
    """

    def __init__(self, core: Core, arrivals: Sequence[Places], settings: TwinSettings) -> None:
        self.core = core
        self.shape = core.output_shape
        self.weights = _arrange_weights(core.weights, core.stride[1])
        self._set_routes(arrivals)
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
        self.initial = np.zeros((height, width, channels), np.int16)
        if core.initial_state is not None:
            self.initial[:] = core.initial_state.transpose(1, 2, 0)
        places = places_of(self.shape)
        self.places = places
        self.rank = _rank(places, settings.output_order)

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
        counts: `(y * x * channel,) int64`, spikes by address, since they were last cleared.
    """

    def __init__(self, model: CoreModel) -> None:
        self.model = model
        n_neurons = model.initial.size
        self.memory = np.zeros(n_neurons + LANES, np.int16)
        self.counts = np.zeros(n_neurons, np.int64)
        self._spikes = np.empty(max(SPIKES_PER_CALL, model.most_spikes) + LANES, np.int32)
        self.pending = np.empty(model.most_masks + MASKS_PER_FLUSH, np.uint64)
        self.reset()

    @property
    def state(self) -> np.ndarray:
        """`(y, x, channel) int16`, the potentials themselves."""
        return self.memory[: self.counts.size].reshape(self.model.initial.shape)

    def reset(self) -> None:
        """Set every potential to its initial value."""
        self.state[:] = self.model.initial

    def run(self, codes: np.ndarray, *, with_parents: bool) -> Iterator[SpikeBlock]:
        """Run events through the core and yield its spikes, block by block.

        Args:
            codes: `(n,) int32`, rows of the model's routes.
            with_parents: tell for each spike which event caused it.
        """
        model = self.model
        ends = np.empty(len(codes), np.int32)
        done = 0
        while done < len(codes):
            start = done
            done, n_spikes = integrate(
                codes,
                start,
                model.routes,
                model.row_spans,
                model.column_spans,
                model.weights,
                self.memory,
                model.layout,
                model.rule,
                self.pending,
                self._spikes,
                ends,
            )
            if n_spikes:
                addresses, parents = self._spikes[:n_spikes], None
                if with_parents or model.rank is not None:
                    n_caused = np.diff(ends[start:done], prepend=0)
                    parents = np.repeat(np.arange(start, done), n_caused)
                    if model.rank is not None:
                        addresses = addresses[np.lexsort((model.rank[addresses], parents))]
                count_into(addresses, self.counts)
                yield SpikeBlock(addresses, parents)


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
