"""Synaptic operations of a pass, with a gradient, so that training can reduce them."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from sinabs.hooks import conv_layer_synops_hook, linear_layer_synops_hook
from torch import nn

from speckflex.training._weight_layers import WeightLayer, weight_layers

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["counted_synops"]


@contextmanager
def counted_synops(network: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Yield a list that fills with each weight layer's synaptic operations in a forward pass.

    Entries are scalars with a gradient, summed over the recordings and time steps of the pass.
    sinabs' hooks count them; a value behind average pooling counts as often as the number of
    values in it, which arrive one by one on the chip.
    """
    counts: list[torch.Tensor] = []
    layers = weight_layers(network)

    def count(layer: WeightLayer, module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            conv_layer_synops_hook(module, inputs, output)
        elif isinstance(module, nn.Linear):
            linear_layer_synops_hook(module, inputs, output)
        data: dict[str, torch.Tensor] = vars(module)["hook_data"]
        counts.append(data["layer_synops_per_timestep"] * len(output) * (layer.pooled / layer.unit))

    hooks = [layer.module.register_forward_hook(partial(count, layer)) for layer in layers]
    try:
        yield counts
    finally:
        for hook, layer in zip(hooks, layers, strict=True):
            hook.remove()
            vars(layer.module).pop("hook_data", None)
