"""The levels of quantised layers in a training: their budget, their excess, and their end."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from speckflex.networks.quantised import MOST_BITS, QuantisedReLU, quantised_layers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from speckflex.training.settings import TrainingSettings

__all__ = [
    "budget_loss",
    "excess_counts",
    "freeze_bits",
    "freezes_bits",
    "keep_levels",
    "last_step",
    "parameter_groups",
]

# Loss for each squared level of the mean above its target, and for each share of a layer's levels
# that the highest hundredth of its counts is above them. Choices of this project.
LOSS_OF_BUDGET = 0.05
LOSS_OF_EXCESS = 0.1
HIGHEST_SHARE = 0.01
# A bit width has one number for a layer and a way of whole bits to go, a weight a way of parts.
BITS_LEARN_FASTER = 10.0
SMALLEST_STEP = 1e-6
LEARNING_SHARE = 2 / 3  # of the epochs, in which bit widths learn


def parameter_groups(network: nn.Module, settings: TrainingSettings) -> list[dict[str, Any]]:
    """Return the parameters that train, as an optimiser takes them; none where nothing does.

    Steps and bit widths do not decay. A step learns in parts of its first value, and bit widths
    learn faster than weights.
    """
    layers = quantised_layers(network)
    steps, bits = [layer.step for layer in layers], [layer.bits for layer in layers]
    own = {id(parameter) for parameter in (*steps, *bits)}
    trained = [p for p in network.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [{"params": [p for p in trained if id(p) not in own]}]
    if not groups[0]["params"]:
        return []
    faster = settings.learning_rate * BITS_LEARN_FASTER
    for layer in layers:
        relative = settings.learning_rate * layer.step_size
        groups.append({"params": [layer.step], "weight_decay": 0.0, "lr": relative})
    if bits:
        groups.append({"params": bits, "weight_decay": 0.0, "lr": faster})
    return groups


@torch.no_grad()
def keep_levels(network: nn.Module) -> None:
    """Change steps and bit widths that an optimiser moved to where there are none."""
    for layer in quantised_layers(network):
        layer.step.clamp_(min=SMALLEST_STEP)
        layer.bits.clamp_(1, MOST_BITS)


def budget_loss(network: nn.Module, settings: TrainingSettings) -> torch.Tensor | float:
    """Return the loss of a mean of `2^n - 1` over the layers that is above the target."""
    bits: list[torch.Tensor] = [layer.bits for layer in quantised_layers(network)]
    if settings.bits or not bits:
        return 0.0
    mean = (2 ** torch.stack(bits) - 1).mean()
    return LOSS_OF_BUDGET * torch.relu(mean - settings.mean_t) ** 2


@contextmanager
def excess_counts(network: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Yield a list that fills with the loss of each layer whose counts go beyond its levels.

    Only layers whose counts have no ceiling can go beyond. The loss is that of the mean of the
    highest hundredth of all counts, so that single outliers do not decide.
    """
    losses: list[torch.Tensor] = []

    def add(layer: Any, _: Any, values: torch.Tensor) -> None:
        if layer.ceiling:
            return
        n_samples = layer.batch_size if layer.batch_size > 0 else len(values)
        counts = values.unflatten(0, (n_samples, -1)).sum(1).flatten() / layer.step
        highest = counts.topk(max(int(len(counts) * HIGHEST_SHARE), 1), sorted=False).values.mean()
        levels = 2**layer.bits - 1
        losses.append(LOSS_OF_EXCESS * torch.relu(highest / levels - 1))

    hooks = [layer.register_forward_hook(add) for layer in quantised_layers(network)]
    try:
        yield losses
    finally:
        for hook in hooks:
            hook.remove()


def freezes_bits(settings: TrainingSettings, n_done: int) -> bool:
    """Return whether the bit widths are whole and fixed in the epoch after `n_done` others."""
    return settings.method == "mtsnn" and n_done >= math.ceil(settings.epochs * LEARNING_SHARE)


@torch.no_grad()
def freeze_bits(network: nn.Module, settings: TrainingSettings) -> None:
    """Change the bit widths to whole numbers that no longer learn.

    All are rounded up. While the mean of the levels is above the target, the one that is furthest
    above what it learned loses a bit.
    """
    layers = quantised_layers(network)
    learned = [layer.bit_width for layer in layers]
    whole = [math.ceil(bits) for bits in learned]
    if not settings.bits:
        while sum(2**bits - 1 for bits in whole) > settings.mean_t * len(whole):
            able = [index for index, bits in enumerate(whole) if bits > 1]
            furthest = max(able, key=lambda index: whole[index] - learned[index])
            whole[furthest] -= 1
    for layer, bits in zip(layers, whole, strict=True):
        layer.bits.fill_(float(bits))
        layer.bits.requires_grad_(False)


def last_step(network: nn.Module) -> torch.Tensor | None:
    """Return what a count of the last layer is worth; None where it is read by potential."""
    kinds = (torch.nn.Conv2d, torch.nn.Linear, QuantisedReLU)
    last = [module for module in network.modules() if isinstance(module, kinds)][-1:]
    return last[0].step if last and isinstance(last[0], QuantisedReLU) else None
