"""The recordings of a training: those that train and those that choose."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from speckflex.training.split import split_by_class

if TYPE_CHECKING:
    from speckflex.program.records import Shape
    from speckflex.training.frame_set import FrameSet
    from speckflex.training.settings import TrainingSettings

__all__ = ["TrainingData", "split_frames"]


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Recordings that train and recordings that choose the best epoch; none is in both.

    Args:
        training: at least one recording.
        validation: at least one recording.
    """

    training: FrameSet
    validation: FrameSet

    @property
    def shape(self) -> Shape:
        """The (channel, y, x) shape of a frame."""
        channels, height, width = self.training.frames.shape[2:]
        return (channels, height, width)

    @property
    def n_classes(self) -> int:
        """How many outputs it takes to score every class that occurs."""
        return 1 + max(int(part.labels.max()) for part in (self.training, self.validation))

    @property
    def sha256(self) -> str:
        """The hash of all frames and labels, in order."""
        digest = hashlib.sha256()
        for part in (self.training, self.validation):
            for tensor in (part.frames, part.labels):
                digest.update(repr((tensor.dtype, tuple(tensor.shape))).encode())
                digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()


def split_frames(recordings: FrameSet, settings: TrainingSettings) -> TrainingData:
    """Return the recordings split by class, as share and seed of the settings say.

    Raises:
        TrainingError: there are fewer than two classes, or a class has one recording.
    """
    split = split_by_class(recordings.labels.numpy(), settings.validation_share, seed=settings.seed)
    return TrainingData(recordings.select(split.training), recordings.select(split.validation))
