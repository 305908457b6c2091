"""Loss and accuracy of a network in time steps."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from speckflex.networks.neurons import fused_neurons

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import nn

    from speckflex.training.frame_set import FrameSet
    from speckflex.training.mixed.stages import MixedTimestepNetwork

__all__ = ["Evaluation", "evaluate", "mean_output"]

EVALUATION_BATCH = 64


@dataclass(frozen=True)
class Evaluation:
    """How well a network classifies recordings.

    Args:
        loss: mean cross entropy of the output averaged over time.
        accuracy: share of recordings classified right.
        n_recordings: how many there were.
    """

    loss: float
    accuracy: float
    n_recordings: int


@torch.no_grad()
def evaluate(
    network: MixedTimestepNetwork,
    recordings: FrameSet,
    timesteps: Sequence[int] | None = None,
    *,
    device: torch.device | None = None,
) -> Evaluation:
    """Return loss and accuracy in evaluation mode, states at rest before each recording.

    Args:
        network: is left in the mode it was in.
        recordings: at least one.
        timesteps: of each stage; None for the recordings' own number of frames throughout.
        device: where the network is.
    """
    loss = correct = 0.0
    with _evaluation_mode(network), fused_neurons(network):
        for start in range(0, len(recordings), EVALUATION_BATCH):
            frames = recordings.frames[start : start + EVALUATION_BATCH].to(device)
            labels = recordings.labels[start : start + EVALUATION_BATCH].to(device)
            scores = mean_output(network(frames, timesteps))
            loss += float(functional.cross_entropy(scores, labels, reduction="sum"))
            correct += float((scores.argmax(dim=1) == labels).sum())
    n_recordings = len(recordings)
    return Evaluation(loss / n_recordings, correct / n_recordings, n_recordings)


def mean_output(output: torch.Tensor) -> torch.Tensor:
    """Return (batch, class) scores: the output (batch, time, class) averaged over time."""
    return output.flatten(2).mean(dim=1)


@contextmanager
def _evaluation_mode(network: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
