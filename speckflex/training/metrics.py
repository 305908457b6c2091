"""What an epoch measured, and the file that keeps it."""

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
        loss: mean over the training recordings and the step's time steps.
        accuracy: share of training recordings right, likewise.
        validation_loss: at T_max.
        validation_accuracy: at T_max; it chooses the best epoch unless the twin does.
        learning_rate: of the epoch's last step.
        seconds: the epoch took.
        twin_accuracy: on the same recordings, event by event in 8 bits; None where not measured.
    """

    epoch: int
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    seconds: float
    twin_accuracy: float | None = None

    @property
    def chosen_by(self) -> float:
        """The accuracy that chooses the best epoch."""
        return self.validation_accuracy if self.twin_accuracy is None else self.twin_accuracy

    def is_better_than(self, other: EpochMetrics | None) -> bool:
        """Return whether validation is better: by accuracy, then by loss."""
        if other is None:
            return True
        return (self.chosen_by, -self.validation_loss) > (other.chosen_by, -other.validation_loss)


@dataclass(frozen=True)
class Progress:
    """Where a training stands after a step.

    Args:
        epoch: from 1.
        step: steps done in all epochs.
        n_steps: steps of the whole training.
        loss: mean over this epoch so far.
        accuracy: share right in this epoch so far.
        validation_accuracy: after the last whole epoch, what chooses; None before.
    """

    epoch: int
    step: int
    n_steps: int
    loss: float
    accuracy: float
    validation_accuracy: float | None


def write_metrics(path: Path, history: Sequence[EpochMetrics]) -> None:
    """Write one JSON object per line and epoch, in place of what the file held.

    Raises:
        TrainingError: the file can't be written.
    """
    text = "".join(json.dumps(asdict(metrics)) + "\n" for metrics in history)
    write_whole(path, text, TrainingError)
