"""What a training won on the twin, recording by recording."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

from speckflex.recordings.measures import sign_test
from speckflex.training._twin_validation import predictions_on_twin

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from speckflex.training.data import FrameSet

__all__ = ["Gain", "measure_gain", "paired_gain"]

Z = 1.959964  # of a 95 % interval


@dataclass(frozen=True)
class Gain:
    """Two networks on the same recordings.

    Args:
        recordings: how many there are.
        before: share that the first network classifies right.
        after: share that the second one does.
        interval: lower and upper end of the 95 % interval of `after - before`, for pairs (Agresti
            and Min 2005: half a recording is added to each of the four outcomes).
        p_value: of McNemar's exact test that both are equally often right alone.
    """

    recordings: int
    before: float
    after: float
    interval: tuple[float, float]
    p_value: float


def measure_gain(before: nn.Module, after: nn.Module, recordings: FrameSet) -> Gain:
    """Return how two networks classify the same recordings on the twin.

    Args:
        before: the network that was given.
        after: the network that came out.
        recordings: frames with their events, at least one.

    Raises:
        TrainingError: only the frames are known, or a network can't be converted.
    """
    labels = recordings.labels.numpy()
    first, second = (predictions_on_twin(net, recordings) == labels for net in (before, after))
    return paired_gain(first, second)


def paired_gain(before: np.ndarray, after: np.ndarray) -> Gain:
    """Return the gain from what is right before and after, (recording,) bool."""
    n = len(before)
    won, lost = int((after & ~before).sum()), int((before & ~after).sum())
    middle = (won - lost) / (n + 2)
    reach = Z * sqrt(won + lost + 1 - (won - lost) ** 2 / (n + 2)) / (n + 2)
    shares = float(before.mean()), float(after.mean())
    return Gain(
        n, *shares, (max(middle - reach, -1.0), min(middle + reach, 1.0)), sign_test(lost, won)
    )
