"""The measurements of each epoch, and their file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from speckflex._support.files import write_whole
from speckflex.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["EpochMetrics", "Progress", "write_metrics"]


@dataclass(frozen=True)
class EpochMetrics:
    """One line of the metrics file.

    Args:
        epoch: from 1.
        loss: mean over the training recordings and the time steps of each step.
        accuracy: share of training recordings that were classified right, in the same mean.
        validation_loss: at T_max.
        validation_accuracy: at T_max; it chooses the best epoch unless the twin or a board does.
        learning_rate: of the epoch's last step.
        seconds: duration of the epoch.
        twin_accuracy: on the validation recordings, event by event in 8 bits; None where it was
            not measured.
        board_accuracy: on the validation recordings, on the board of method "board"; None where
            it was not measured.
        peak_load: of the busiest core in its busiest 10 ms of the validation recordings, a share
            of what a core can do; None where the training has no limit for it.
        keeps_up: whether that is within the limit; None where there is none.
    """

    epoch: int
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    seconds: float
    twin_accuracy: float | None = None
    board_accuracy: float | None = None
    peak_load: float | None = None
    keeps_up: bool | None = None

    @property
    def chosen_by(self) -> float:
        """The accuracy that chooses the best epoch."""
        played = (self.board_accuracy, self.twin_accuracy)
        return next(
            (accuracy for accuracy in played if accuracy is not None), self.validation_accuracy
        )

    def is_better_than(self, other: EpochMetrics | None) -> bool:
        """Return whether validation is better: within the load, then by accuracy, then by loss."""
        if other is None:
            return True
        ours, theirs = (
            (metrics.keeps_up is not False, metrics.chosen_by, -metrics.validation_loss)
            for metrics in (self, other)
        )
        return ours > theirs


@dataclass(frozen=True)
class Progress:
    """How far a training has come after a step.

    Args:
        epoch: from 1.
        step: number of steps that are done, in all epochs.
        n_steps: number of steps of the whole training.
        loss: mean over this epoch so far.
        accuracy: share of recordings classified right in this epoch so far.
        validation_accuracy: the accuracy that chooses, after the last whole epoch; None before.
    """

    epoch: int
    step: int
    n_steps: int
    loss: float
    accuracy: float
    validation_accuracy: float | None


def write_metrics(path: Path, history: Sequence[EpochMetrics]) -> None:
    """Replace the file by one line of JSON for each epoch.

    Raises:
        TrainingError: the file can't be written.
    """
    text = "".join(json.dumps(asdict(metrics)) + "\n" for metrics in history)
    write_whole(path, text, TrainingError)
