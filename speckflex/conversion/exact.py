"""The numbers of a network before they are rounded to the chip's integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from speckflex.conversion._prepare import prepare

if TYPE_CHECKING:
    import torch
    from torch import nn

    from speckflex.conversion._prepared import PreparedLayer
    from speckflex.program.program import Program
    from speckflex.program.records import Core

__all__ = ["ExactLayer", "exact_layers"]


@dataclass(frozen=True, eq=False)
class ExactLayer:
    """What the integers of a core stand for, in the units of these integers.

    Args:
        weights: `(out, in, ky, kx) float64`.
        bias: `(out,) float64`, or None.
        threshold_high: a neuron fires at or above it.
        threshold_low: lowest potential.
        initial_state: `(out, y, x) float64`; None for zeros.
    """

    weights: np.ndarray
    bias: np.ndarray | None
    threshold_high: float
    threshold_low: float
    initial_state: np.ndarray | None


def exact_layers(network: nn.Module, program: Program) -> tuple[ExactLayer, ...]:
    """Return the layers of a network, one for each core of the program that was made of it.

    Args:
        network: the bias-free network that was converted.
        program: names the scale of each layer.

    Raises:
        ConversionError: the network does not run on the program's input shape.
    """
    layers = prepare(network, program.input.shape).layers
    return tuple(_exact(*pair) for pair in zip(layers, program.cores, strict=True))


def _exact(layer: PreparedLayer, core: Core) -> ExactLayer:
    neuron = layer.neuron
    return ExactLayer(
        weights=_scaled(layer.convolution.weights, core),
        bias=None if layer.bias is None else _scaled(layer.bias, core),
        threshold_high=core.scale * neuron.threshold if neuron else float(core.threshold_high),
        threshold_low=core.scale * neuron.min_v_mem if neuron else float(core.threshold_low),
        initial_state=_start(layer, core),
    )


def _start(layer: PreparedLayer, core: Core) -> np.ndarray | None:
    neuron = layer.neuron
    if neuron is None:
        return None
    if neuron.precharge is not None:
        potentials = neuron.precharge * neuron.threshold
        return np.broadcast_to(_scaled(potentials, core), layer.output_shape)
    return None if neuron.state is None else _scaled(neuron.state, core)


def _scaled(values: torch.Tensor, core: Core) -> np.ndarray:
    return values.detach().numpy().astype(np.float64) * core.scale
