"""What a training won on the twin, recording by recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speckflex.recordings.measures import Gain, paired_gain
from speckflex.training._twin_validation import predictions_on_twin

if TYPE_CHECKING:
    from torch import nn

    from speckflex.training.data import FrameSet

__all__ = ["Gain", "measure_gain", "paired_gain"]


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
