"""Batch norm in mixed time steps: statistics recalibrated, or locked (MTT, 4.3 and A.6)."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "CALIBRATION_BATCHES",
    "BatchNorm",
    "batch_norms",
    "lock_batch_norm",
    "recalibrate_batch_norm",
]

CALIBRATION_BATCHES = 10  # the paper found that so few suffice (section 4.3)

BatchNorm = nn.modules.batchnorm._BatchNorm  # noqa: SLF001


def batch_norms(network: nn.Module) -> list[BatchNorm]:
    """Return the batch norms of a network, in order."""
    return [module for module in network.modules() if isinstance(module, BatchNorm)]


def lock_batch_norm(network: nn.Module) -> None:
    """Change the batch norms to constant gains: statistics and biases no longer change.

    The gains (weights) may still train. Call it after each `network.train()`.
    """
    for norm in batch_norms(network):
        norm.eval()
        if norm.bias is not None:
            norm.bias.requires_grad_(False)


@torch.no_grad()
def recalibrate_batch_norm(network: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Change the running statistics to the mean over some batches, with the weights fixed.

    Batch statistics in training with mixed time steps vary with the time steps; those at T_max
    serve every other T as well (A.6).

    Args:
        network: takes a batch of frames, at T_max.
        batches: (recording, time, channel, y, x); the first 10 are used.
    """
    norms = batch_norms(network)
    if not norms:
        return
    training, momenta = network.training, [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch then keeps the plain mean over all batches
        norm.train()
    try:
        for frames in islice(batches, CALIBRATION_BATCHES):
            network(frames)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        network.train(training)
