"""The recordings that train and those that choose the best epoch, as frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from board_data import joined
from sizes import SIMULATED

from speckflex.data import open_dataset
from speckflex.training import TrainingData, cache_frames
from speckflex.training.data import split_by_class

if TYPE_CHECKING:
    from pipeline import Step  # pyright: ignore[reportMissingImports]
    from sizes import Size


def read_frames(step: Step[Size], t_max: int) -> TrainingData:
    """Return the training split, a tenth of each class held out; the test split is not used.

    Recordings that were simulated from `--images` train too.
    """
    dataset = open_dataset(step.data, split="train", seed=step.seed, limit=step.size.recordings)
    split = split_by_class(dataset.labels, 0.1, seed=step.seed)
    training = dataset.subset(np.tile(split.training, step.size.repeats))
    if step.images is not None:
        more = open_dataset(step.out / SIMULATED, split="train")
        training = joined([training, more])
    return TrainingData(
        cache_frames(training, t_max),
        cache_frames(dataset.subset(split.validation), t_max),
    )
