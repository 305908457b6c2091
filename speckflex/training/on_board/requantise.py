"""A program with the weights that its network has now, without a whole conversion."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from speckflex.chips.formats import NEURON_MAX
from speckflex.errors import TrainingError
from speckflex.networks.neurons import PrechargedIAFSqueeze, precharged_integers
from speckflex.samna_access import load_samna
from speckflex.training._weight_layers import WeightLayer, weight_layers

load_samna()
from sinabs.backend.dynapcnn.discretize import (  # noqa: E402  needs samna's name to exist
    DYNAPCNN_STATE_PRECISION_BITS,
    DYNAPCNN_WEIGHT_PRECISION_BITS,
    determine_discretization_scale,
    discretize_tensor,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from speckflex.program.program import Program
    from speckflex.program.records import Core

__all__ = ["check_requantises", "program_weights", "with_weights"]


@torch.no_grad()
def with_weights(program: Program, network: nn.Module) -> Program:
    """Return the program that `network` converts to, as long as only weights have changed.

    Each layer is discretised by sinabs' own rule in its own precision:
    `s = min(127 / max w, 128 / |min w|, 32767 / reach)`, and `round(s w)` for weights, threshold
    and lower bound.

    Args:
        program: of the same network with other weights.
        network: a chain of layers for which `check_requantises` passes.

    Raises:
        TrainingError: a layer has become such that its threshold rounds to 0.
    """
    layers = weight_layers(network)
    cores = (_core(*pair) for pair in zip(program.cores, layers, strict=True))
    return replace(program, cores=tuple(cores))


def check_requantises(program: Program, network: nn.Module) -> None:
    """Check that `with_weights` gives the program itself while nothing has changed.

    Args:
        program: what `network` converts to.
        network: the network.

    Raises:
        TrainingError: a layer becomes another convolution on its way to the chip.
    """
    layers = weight_layers(network)
    if len(layers) != len(program.cores):
        raise TrainingError(
            f"the network has {len(layers)} weight layers, its program {len(program.cores)} cores:"
            " training on a board takes a chain of Conv2d and Linear layers: choose another"
            " method, such as mtt"
        )
    for core, layer in zip(program.cores, layers, strict=True):
        plain = layer.module.weight.numel() == core.weights.size
        if not plain or core.name != layer.name or not _same(core, _core(core, layer)):
            raise TrainingError(
                f"layer {layer.name}: its weights are rearranged for the chip, so they can't be"
                " trained on a board: use a square Conv2d without groups and dilation, a Linear,"
                " or another method, such as mtt"
            )


@contextmanager
def program_weights(program: Program, network: nn.Module) -> Iterator[None]:
    """Run a network on the integers of its program; afterwards its weights are as before.

    A weight becomes `w * theta / threshold_high`, so that the neuron's threshold keeps its value
    theta and the rounding of both is in the weight. Gradients are stored on the parameters as
    they are: the straight-through estimator.
    """
    layers = weight_layers(network)
    kept = [layer.module.weight.detach().clone() for layer in layers]
    try:
        for core, layer in zip(program.cores, layers, strict=True):
            weight = layer.module.weight.data
            integers = torch.from_numpy(core.weights.astype(np.float32)).view(weight.shape)
            weight.copy_(integers * (unit_of(core, layer) * layer.pooled))
        yield
    finally:
        for layer, weights in zip(layers, kept, strict=True):
            layer.module.weight.data.copy_(weights)


def unit_of(core: Core, layer: WeightLayer) -> float:
    """Return what one integer of the core is in the network's units."""
    return 1 / core.scale if layer.threshold is None else layer.threshold / core.threshold_high


def _core(core: Core, layer: WeightLayer) -> Core:
    weights = layer.module.weight.detach().cpu().float() * (1.0 / layer.pooled)
    by_weights = torch.as_tensor(
        determine_discretization_scale(weights, DYNAPCNN_WEIGHT_PRECISION_BITS)
    )
    bounds = torch.tensor(_bounds(layer, by_weights))
    by_bounds = determine_discretization_scale(bounds, DYNAPCNN_STATE_PRECISION_BITS)
    scale: Any = min(by_weights, torch.as_tensor(by_bounds))
    low, high = discretize_tensor(bounds, scale).tolist()
    if layer.threshold is None:
        high = core.threshold_high
    if high < 1:
        raise TrainingError(
            f"layer {layer.name}: its largest weight {float(weights.abs().max()):g} takes 8 bits,"
            f" and the threshold {layer.threshold:g} then becomes 0: lower the learning rate"
        )
    integers = discretize_tensor(weights, scale).numpy().reshape(core.weights.shape)
    return replace(
        core,
        weights=integers,
        threshold_high=high,
        threshold_low=low or -1,  # the silicon can't have 0 (datasheet 3.2.4.6.3)
        initial_state=_start(layer, high, core),
        scale=float(scale),
    )


def _start(layer: WeightLayer, threshold_high: int, core: Core) -> np.ndarray | None:
    """Return the initial states of a layer that states them; else those that the core has."""
    if not isinstance(layer.neuron, PrechargedIAFSqueeze):
        return core.initial_state
    return precharged_integers(layer.neuron.precharge, threshold_high, core.output_shape)


def _bounds(layer: WeightLayer, scale: torch.Tensor) -> tuple[float, float]:
    """Return lower bound and threshold of a layer's neurons, floats."""
    if layer.threshold is None:
        # as the conversion has it for neurons that only add up
        silent = (NEURON_MAX - 0.4) / float(scale) if torch.isfinite(scale) else 1.0
        return -silent, silent
    lowest: Any = layer.neuron.min_v_mem if layer.neuron is not None else None
    return float(lowest), layer.threshold


def _same(one: Core, other: Core) -> bool:
    numbers = ("threshold_high", "threshold_low", "scale")
    return np.array_equal(one.weights, other.weights) and all(
        getattr(one, name) == getattr(other, name) for name in numbers
    )
