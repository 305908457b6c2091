"""Loss and accuracy of a network in time steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from speckflex.networks.neurons import fused_neurons

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from speckflex.training.data import FrameSet
    from speckflex.training.mixed.stages import MixedTimestepNetwork

__all__ = ["Evaluation", "answers_of", "evaluate", "mean_output"]

EVALUATION_BATCH = 64


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How well a network classifies recordings.

    Args:
        loss: mean cross entropy of the output averaged over time.
        accuracy: share of recordings that are classified right.
        answers: (recording,) int64, the class of each, -1 for none.
    """

    loss: float
    accuracy: float
    answers: np.ndarray


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
    loss = 0.0
    answers = []
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with fused_neurons(network):
            for start in range(0, len(recordings), EVALUATION_BATCH):
                frames = recordings.frames[start : start + EVALUATION_BATCH].to(device)
                labels = recordings.labels[start : start + len(frames)].to(device)
                scores = mean_output(network(frames, timesteps))
                loss += float(functional.cross_entropy(scores, labels, reduction="sum"))
                answers.append(answers_of(scores).cpu())
    finally:
        for module, training in modes:
            module.training = training
    answered = torch.cat(answers)
    right = int((answered == recordings.labels.cpu()).sum())
    return Evaluation(loss / len(recordings), right / len(recordings), answered.numpy())


def answers_of(scores: torch.Tensor) -> torch.Tensor:
    """Return the (recording,) int64 class of the highest score.

    It is -1 where all scores are 0: that is no answer, as in `Recording.answers`.

    Args:
        scores: (recording, class).
    """
    return scores.argmax(dim=1).masked_fill((scores == 0).all(dim=1), -1)


def mean_output(output: torch.Tensor) -> torch.Tensor:
    """Return (batch, class) scores: the output (batch, time, class) averaged over time."""
    return output.flatten(2).mean(dim=1)
