"""The recordings that train and those that choose the best epoch, as frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speckflex.data import open_dataset
from speckflex.training import TrainingData, cache_frames
from speckflex.training.data import split_by_class

if TYPE_CHECKING:
    from pipeline import Step  # pyright: ignore[reportMissingImports]
    from sizes import Size


def read_frames(step: Step[Size]) -> TrainingData:
    """Return the training split, a tenth of each class held out; the test split is not used."""
    dataset = open_dataset(step.data, split="train", seed=step.seed, limit=step.size.recordings)
    split = split_by_class(dataset.labels, 0.1, seed=step.seed)
    return TrainingData(
        cache_frames(dataset.subset(split.training), step.size.t_max),
        cache_frames(dataset.subset(split.validation), step.size.t_max),
    )
