"""The epochs in torch that make a network sparse before a board plays it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from speckflex.errors import TrainingInterruptedError
from speckflex.training._loop import fit
from speckflex.training._synops import PRICE, counted_synops
from speckflex.training.mixed.stages import MixedTimestepNetwork
from speckflex.training.on_board.board_loop import open_loop
from speckflex.training.on_board.session import is_recorded
from speckflex.training.settings import TrainingSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightning_fabric import Fabric
    from torch import nn

    from speckflex.training.data import FrameSet, TrainingData
    from speckflex.training.metrics import Progress

__all__ = ["begins_sparse", "sparse_network"]

# Measured on N-MNIST by examples/nmnist/default_path.py, with and without `--dense`.
TIMES_THE_PRICE = 2.0
LEARNING_RATE = 1e-3
RECORDINGS = 64  # that show what the first layer does


def begins_sparse(settings: TrainingSettings) -> bool:
    """Return whether a training begins with epochs in torch: where a board's operations cost."""
    chosen = settings.method == "board" and settings.sparse_epochs > 0
    return chosen and settings.pricing != 0.0 and not is_recorded(settings.board)


def sparse_network(
    network: nn.Module,
    data: TrainingData,
    settings: TrainingSettings,
    *,
    fabric: Fabric | None = None,
    watch: Callable[[Progress], None] | None = None,
) -> nn.Module:
    """Return the network after some epochs of SDT in which operations cost twice as much.

    A network that was trained without a price sends many more spikes than it needs. If a board
    takes it from there, its first epochs have to change so much that they lose what it knew.

    Args:
        network: bias-free, without batch norm; stays as it is.
        data: recordings that train and that choose.
        settings: of the training with the board.
        fabric: devices and processes.
        watch: called after each step.

    Raises:
        TrainingError: the board can't be used, which is tried first; or see `fit`.
        TrainingInterruptedError: it was interrupted.
    """
    open_loop(network, data, settings).close()
    weight = settings.synops_weight
    if weight is None:
        weight = PRICE * 1e6 / max(_first_synops(network, data.training, settings.seed), 1.0)
    in_torch = TrainingSettings(
        t_max=settings.t_max,
        epochs=settings.sparse_epochs,
        batch_size=settings.batch_size,
        optimiser=settings.optimiser,
        learning_rate=LEARNING_RATE,
        weight_decay=settings.weight_decay,
        keep="last",
        seed=settings.seed,
        augment=settings.augment,
        batch_norm_mode="locked",
        synops_weight=TIMES_THE_PRICE * weight,
        clip_gradient=settings.clip_gradient,
    )
    result = fit(network, data, in_torch, fabric=fabric, watch=watch)
    if result.interrupted:
        raise TrainingInterruptedError(
            f"interrupted after epoch {len(result.history)} of {in_torch.epochs} that come before"
            " the board: start the training again"
        )
    return result.network


def _first_synops(network: nn.Module, recordings: FrameSet, seed: int) -> float:
    """Return the synaptic operations of the first layer for a recording, in the mean."""
    chosen = np.random.default_rng(seed).permutation(len(recordings))[:RECORDINGS]
    frames = recordings.frames[torch.from_numpy(np.sort(chosen))]
    mixed = MixedTimestepNetwork(network)
    with torch.no_grad(), counted_synops(mixed) as synops:
        mixed(frames)
    return float(synops[0]) / len(chosen)
