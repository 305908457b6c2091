"""Loss and accuracy of a network in time steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from speckflex.networks.neurons import fused_neurons
from speckflex.training.shares import add_up, own_share

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from lightning_fabric import Fabric

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
    fabric: Fabric | None = None,
) -> Evaluation:
    """Return loss and accuracy in evaluation mode, states at rest before each recording.

    Args:
        network: stays in its mode.
        recordings: at least one.
        timesteps: of each stage; None for the recordings' own number of frames in every stage.
        device: where the network is.
        fabric: processes that share the batches, each of which gets the result of all; None for
            this process alone. The figures are those of one process, to the last bit.
    """
    starts = range(0, len(recordings), EVALUATION_BATCH)
    losses = torch.zeros(len(starts), dtype=torch.float64)
    answers = torch.zeros(len(recordings), dtype=torch.int64)
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with fused_neurons(network):
            for index in own_share(len(starts), fabric):
                start = starts[index]
                frames = recordings.frames[start : start + EVALUATION_BATCH].to(device)
                labels = recordings.labels[start : start + len(frames)].to(device)
                scores = mean_output(network(frames, timesteps))
                losses[index] = functional.cross_entropy(scores, labels, reduction="sum")
                answers[start : start + len(frames)] = answers_of(scores)
    finally:
        for module, training in modes:
            module.training = training
    answers = add_up(answers, fabric)
    right = int((answers == recordings.labels.cpu()).sum())
    # in the order of the batches, because sums of floats depend on it
    loss = sum(add_up(losses, fabric).tolist())
    return Evaluation(loss / len(recordings), right / len(recordings), answers.numpy())


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
