"""Batch norm in mixed time steps: statistics recalibrated, or locked (MTT, 4.3 and A.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "BatchNorm",
    "batch_norms",
    "lock_batch_norm",
    "recalibrate_batch_norm",
]

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
def recalibrate_batch_norm(
    network: nn.Module,
    batches: Iterable[torch.Tensor],
    run: Callable[[torch.Tensor], Any] | None = None,
) -> None:
    """Change the running statistics to the mean over some batches, with the weights fixed.

    Batch statistics in training with mixed time steps vary with the time steps; those at T_max
    serve every other T as well (A.6).

    Args:
        network: its statistics change.
        batches: (recording, time, channel, y, x).
        run: runs the network on a batch at T_max; None to call the network itself.
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
        for frames in batches:
            (run or network)(frames)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        network.train(training)
