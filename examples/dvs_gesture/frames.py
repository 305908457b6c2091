"""The recordings that train and those that choose the best epoch, as frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speckflex.data import open_dataset
from speckflex.training import TrainingData, cache_frames

if TYPE_CHECKING:
    from pipeline import Step  # pyright: ignore[reportMissingImports]
    from sizes import Size


def read_frames(step: Step[Size]) -> TrainingData:
    """Return the training split, a tenth of it held out; the test split is not used."""
    dataset = open_dataset(step.data, split="train")
    order = np.random.default_rng(step.seed).permutation(len(dataset))
    n_chosen = max(11, len(dataset) // 10)
    training = dataset.subset(order[n_chosen:])
    return TrainingData(
        cache_frames(training, step.size.t_max),
        cache_frames(dataset.subset(order[:n_chosen]), step.size.t_max),
    )
