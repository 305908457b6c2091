"""The loss of one pass, and its gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

from speckflex.training._evaluation import answers_of
from speckflex.training._steps import Outcome

if TYPE_CHECKING:
    import torch

    from speckflex.training._batches import FrameBatch
    from speckflex.training._run import TrainingRun

__all__ = ["add_gradient"]


def add_gradient(
    run: TrainingRun, batch: FrameBatch, scores: torch.Tensor, penalty: torch.Tensor | float = 0.0
) -> Outcome:
    """Add the gradient of a batch's cross entropy and return its loss and hits.

    Args:
        run: the training.
        batch: the recordings.
        scores: (recording, class) with a gradient.
        penalty: summed over the recordings, added to the loss for the gradient alone.
    """
    losses = functional.cross_entropy(scores, batch.labels, reduction="none") * batch.weights
    # Processes' gradients are averaged, so each counts its part of the whole step.
    share = run.fabric.world_size / (len(run.data.training) if run.has_one_step else batch.total)
    run.fabric.backward((losses.sum() + penalty * float(batch.weights.any())) * share)
    hits = (answers_of(scores) == batch.labels) * batch.weights
    return Outcome(float(losses.detach().sum()), float(hits.sum()))
