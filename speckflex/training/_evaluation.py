"""Loss and accuracy of a network in time steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from speckflex.networks.neurons import fused_neurons

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.training.data import FrameSet
    from speckflex.training.mixed.stages import MixedTimestepNetwork

__all__ = ["Evaluation", "answered_right", "evaluate", "mean_output"]

EVALUATION_BATCH = 64


@dataclass(frozen=True)
class Evaluation:
    """How well a network classifies recordings.

    Args:
        loss: mean cross entropy of the output averaged over time.
        accuracy: share of recordings that are classified right.
    """

    loss: float
    accuracy: float


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
        network: stays in its mode.
        recordings: at least one.
        timesteps: of each stage; None for the recordings' own number of frames in every stage.
        device: where the network is.
    """
    loss = correct = 0.0
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with fused_neurons(network):
            for start in range(0, len(recordings), EVALUATION_BATCH):
                frames = recordings.frames[start : start + EVALUATION_BATCH].to(device)
                labels = recordings.labels[start : start + EVALUATION_BATCH].to(device)
                scores = mean_output(network(frames, timesteps))
                loss += float(functional.cross_entropy(scores, labels, reduction="sum"))
                correct += float(answered_right(scores, labels).sum())
    finally:
        for module, training in modes:
            module.training = training
    return Evaluation(loss / len(recordings), correct / len(recordings))


def answered_right(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return (recording,) bool: the class of the highest score is the label.

    Where all scores are 0 there is no answer, as in `Recording.answers`, and nothing is right.

    Args:
        scores: (recording, class).
        labels: (recording,) int64.
    """
    return (scores.argmax(dim=1) == labels) & (scores != 0).any(dim=1)


def mean_output(output: torch.Tensor) -> torch.Tensor:
    """Return (batch, class) scores: the output (batch, time, class) averaged over time."""
    return output.flatten(2).mean(dim=1)
