"""Synaptic operations of a pass, with a gradient, and what they add to the loss."""

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

__all__ = ["counted_synops", "synops_loss"]

# The loss of a recording for as many operations as its events cause in the first layer, where no
# weight is set: unlike a loss for each operation it asks the same of small and large sensors.
# Where nothing costs activity, training drives it up until cores can't keep up; at this price it
# falls to a seventh and accuracy stays: `docs/stages/finetune.md` has the measurements.
PRICE = 0.01


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


def synops_loss(
    synops: list[torch.Tensor], weight: float | None, n_recordings: int
) -> torch.Tensor | float:
    """Return the loss of the synaptic operations of a pass, summed over its recordings.

    Args:
        synops: of each weight layer, as `counted_synops` gives them.
        weight: loss for a million operations; None for `PRICE`.
        n_recordings: of the pass.
    """
    if not synops:
        return 0.0
    total = torch.stack(synops).sum()
    if weight is not None:
        return total * (weight / 1e6)
    # without events there are no operations at all, and nothing to divide
    return total / synops[0].detach().clamp(min=1.0) * (PRICE * n_recordings)
