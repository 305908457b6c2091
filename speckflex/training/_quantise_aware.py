"""Training on the converter's 8-bit weights, and weights that stay below the threshold."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from speckflex.chips.formats import NEURON_MAX, WEIGHT_MAX, WEIGHT_MIN
from speckflex.training._weight_layers import WeightLayer, weight_layers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

__all__ = ["clip_weights", "discretisation_scale", "eight_bit_weights"]

# The chip compares after each event: a weight of a whole threshold fires at every event.
LARGEST_WEIGHT = 0.99


def discretisation_scale(weights: torch.Tensor, reach: float | None) -> float:
    """Return the scale from weights to integers that sinabs' converter gives a bias-free layer.

    `s = min(127 / max w, 128 / |min w|, 32767 / reach)` (sinabs 3.1.3,
    `backend/dynapcnn/discretize.py`).

    Args:
        weights: divided by the number of values that are pooled in front of them, as on the chip.
        reach: the larger of the neuron's threshold and the size of its lower bound; None
            without a neuron.
    """
    low, high = float(weights.min()), float(weights.max())
    scales = [WEIGHT_MIN / low] if low < 0 else []
    scales += [WEIGHT_MAX / high] if high > 0 else []
    scales += [NEURON_MAX / reach] if reach else []
    return min(scales, default=1.0)


@contextmanager
def eight_bit_weights(network: nn.Module) -> Iterator[None]:
    """Run a network on the weights that the chip gets; afterwards they are as before.

    `w -> round(s w) * theta / round(s theta)`: the weights also take the rounding error of the
    threshold. Gradients of the rounded weights are stored on the parameters as they are: the
    straight-through estimator.
    """
    layers = weight_layers(network)
    kept = [layer.module.weight.detach().clone() for layer in layers]
    try:
        for layer in layers:
            layer.module.weight.data.copy_(_rounded(layer))
        yield
    finally:
        for layer, weights in zip(layers, kept, strict=True):
            layer.module.weight.data.copy_(weights)


@torch.no_grad()
def clip_weights(network: nn.Module) -> None:
    """Limit each weight in front of a neuron to less than the neuron's threshold.

    A core fires at most once per event: the part of a weight above the threshold would remain in
    the potential and fire later, or never.
    """
    for layer in weight_layers(network):
        threshold = layer.threshold
        if threshold is not None:
            limit = LARGEST_WEIGHT * threshold * layer.pooled
            layer.module.weight.clamp_(-limit, limit)


@torch.no_grad()
def _rounded(layer: WeightLayer) -> torch.Tensor:
    weights = layer.module.weight / layer.pooled
    scale = discretisation_scale(weights, layer.reach)
    threshold = layer.threshold
    unit = 1 / scale if threshold is None else threshold / max(round(scale * threshold), 1)
    return torch.round(weights * scale) * unit * layer.pooled
