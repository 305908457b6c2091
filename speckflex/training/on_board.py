"""Training with a board in the loop: the board's spikes forward, torch's gradient back.

The forward pass of a batch is a play of the 8-bit program on a board. Its recorded spikes stand
in the place of the spikes that torch would have computed, so loss and accuracy of the training
are the board's own. The gradient goes back through the currents of the binned spikes, with a
surrogate at each neuron, as surrogate gradients do in time steps. The method is known from
analogue hardware as in-the-loop training (Cramer et al. 2022).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sinabs.layers import StatefulLayer
from torch.autograd.function import once_differentiable

from speckflex.chips.formats import NEURON_MAX, WEIGHT_MAX, WEIGHT_MIN
from speckflex.errors import TrainingError
from speckflex.kernels.bin_spikes import bin_spikes
from speckflex.training.weight_layers import WeightLayer, weight_layers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from speckflex.boards import Board
    from speckflex.program.program import Program
    from speckflex.program.records import Core, Shape
    from speckflex.recordings.recording import Recording

__all__ = ["BoardPass", "bin_events", "play_batch", "with_weights"]


def with_weights(program: Program, network: nn.Module) -> Program:
    """Return the program of a network whose weights alone have changed.

    It does what the conversion by sinabs' backend does to a layer without a bias, in the same
    float32 steps, so that the integers are the same: one scale
    `s = min(127 / max w, 128 / |min w|, 32767 / reach)` a layer, then `round(s w)` for the
    weights and `round(s theta)` for threshold and lower bound.

    Args:
        program: of the same network with other weights, a chain of layers.
        network: without biases and batch norms.

    Raises:
        TrainingError: the network has another number of weight layers than the program has
            cores, or a threshold becomes smaller than 1.
    """
    layers = weight_layers(network)
    if len(layers) != len(program.cores):
        raise TrainingError(
            f"the network has {len(layers)} weight layers, its program {len(program.cores)}"
            " cores: convert the network again"
        )
    pairs = zip(program.cores, layers, strict=True)
    return replace(program, cores=tuple(_requantised(core, layer) for core, layer in pairs))


@torch.no_grad()
def _requantised(core: Core, layer: WeightLayer) -> Core:
    weights = layer.module.weight.detach().float().cpu() / layer.pooled
    scale = _scale(weights, WEIGHT_MIN, WEIGHT_MAX)
    limits: dict[str, int] = {}
    if layer.neuron is not None:
        neuron: Any = layer.neuron
        low, high = float(neuron.min_v_mem), float(neuron.spike_threshold)
        scale = min(scale, _scale(torch.tensor((low, high)), -NEURON_MAX - 1, NEURON_MAX))
        limits = {
            "threshold_high": round(high * float(scale)),
            # the silicon can't have a lower bound of 0 (datasheet 3.2.4.6.3)
            "threshold_low": round(low * float(scale)) or -1,
        }
        if limits["threshold_high"] < 1:
            raise TrainingError(
                f"layer {layer.name}: its threshold {high} becomes {limits['threshold_high']} when"
                " the largest weight takes 8 bits: lower the learning rate"
            )
    integers = torch.round(weights * scale).to(torch.int8)
    return replace(
        core,
        weights=integers.reshape(core.weights.shape).numpy(),
        scale=float(scale),
        **limits,
    )


def _scale(values: torch.Tensor, least: int, most: int) -> torch.Tensor:
    """Return the integers per unit that let all values fit between `least` and `most`."""
    low, high = values.min(), values.max()
    if abs(low) <= abs(high) * abs(least / most):
        return abs(most / high)
    return abs(least / low)


def play_batch(
    board: Board, program: Program, samples: Sequence[np.ndarray], n_bins: int
) -> list[torch.Tensor]:
    """Play samples on a board and return every layer's spikes in bins of time.

    A sample's bins divide the time from its first to its last input event, as its frames do.

    Args:
        board: open; it takes in the program.
        program: with the weights of the moment.
        samples: one structured event array a sample.
        n_bins: bins a sample.

    Returns:
        For each core of the program `(sample, bin, channel, y, x) float32`.
    """
    board.load(program)
    recording = board.play(list(samples))
    spans = [_span(events) for events in samples]
    return [
        torch.from_numpy(_bin_layer(recording, index, core.output_shape, spans, n_bins))
        for index, core in enumerate(program.cores)
    ]


def _bin_layer(
    recording: Recording, layer: int, shape: Shape, spans: list[tuple[int, int]], n_bins: int
) -> np.ndarray:
    bins = np.zeros((len(spans), n_bins, *shape), np.float32)
    for sample, span in enumerate(spans):
        _count_into(bins[sample], recording.events(layer, sample), span)
    return bins


def bin_events(events: np.ndarray, shape: Shape, n_bins: int, span: tuple[int, int]) -> np.ndarray:
    """Return the events counted in bins of equal time.

    The bins are those of `events.frames.to_frames` for an input that lasts from `span[0]` to
    `span[1]`; what comes before or after counts in the first or last bin.

    Args:
        events: structured with t, x, y, p.
        shape: (channel, y, x) of the map.
        n_bins: at least 1.
        span: µs, of the first and last event of the input.

    Returns:
        `(bin, channel, y, x) float32`.
    """
    bins = np.zeros((n_bins, *shape), np.float32)
    _count_into(bins, events, span)
    return bins


def _count_into(bins: np.ndarray, events: np.ndarray, span: tuple[int, int]) -> None:
    length = max((span[1] - span[0]) // len(bins), 1)
    columns = (np.asarray(events[name], np.int64) for name in ("t", "p", "y", "x"))
    bin_spikes(*columns, span[0], length, bins)


def _span(events: np.ndarray) -> tuple[int, int]:
    return (int(events["t"].min()), int(events["t"].max())) if len(events) else (0, 0)


@dataclass(frozen=True, eq=False)
class BoardPass:
    """The layers of a network with a board's spikes in the place of their neurons' own.

    Args:
        layers: the network's layers in their order.
    """

    layers: tuple[nn.Module, ...]

    def scores(self, frames: torch.Tensor, spikes: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return what each class scored, with the gradient for the weights.

        Args:
            frames: `(sample, bin, channel, y, x)` float, the input in the same bins.
            spikes: of each weight layer, as from `play_batch`.

        Returns:
            `(sample, class)`: the spikes that the last layer fired, or the currents that it
            summed up where it has no neuron.
        """
        n_samples, n_bins = frames.shape[:2]
        values = frames.flatten(0, 1)
        recorded = iter(spikes)
        for layer in self.layers:
            if not isinstance(layer, StatefulLayer):
                values = layer(values)
                continue
            currents = values.unflatten(0, (n_samples, n_bins))
            own = next(recorded).reshape(currents.shape).to(currents)
            values = _RecordedSpikes.apply(currents, own, layer).flatten(0, 1)  # pyright: ignore[reportAttributeAccessIssue]
        return values.unflatten(0, (n_samples, n_bins)).flatten(2).sum(dim=1)


class _RecordedSpikes(torch.autograd.Function):
    """Spikes that a board recorded, as a function of the currents that torch computes.

    Forward: `u[t] = v[t-1] + I[t]`, the spikes as recorded, `v[t] = max(u[t] - theta s[t], low)`.
    Backward: `du[t] = g[t] surrogate(u[t]) + du[t+1]` where the bound does not hold v.
    """

    @staticmethod
    def forward(
        ctx: Any, currents: torch.Tensor, spikes: torch.Tensor, neuron: Any
    ) -> torch.Tensor:
        low = float(neuron.min_v_mem)
        threshold = neuron.spike_threshold.detach()
        potentials, free = torch.empty_like(currents), torch.empty_like(currents, dtype=torch.bool)
        state = torch.zeros_like(currents[:, 0])
        for time in range(currents.shape[1]):
            potential = state + currents[:, time]
            after = potential - threshold * spikes[:, time]
            potentials[:, time], free[:, time] = potential, after > low
            state = after.clamp(min=low)
        ctx.save_for_backward(potentials, free)
        ctx.neuron = neuron
        return spikes.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        potentials, free = ctx.saved_tensors
        neuron = ctx.neuron
        slopes = neuron.surrogate_grad_fn(potentials, neuron.spike_threshold.detach())
        result = gradient * slopes
        for time in range(result.shape[1] - 2, -1, -1):
            result[:, time] += result[:, time + 1] * free[:, time]
        return result, None, None
