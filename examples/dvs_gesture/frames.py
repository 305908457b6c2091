"""The recordings as frames: those that train, and those that choose the best epoch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from speckflex.data import EventDataset, mirror, open_dataset
from speckflex.data.formats.dvs_gesture import MIRRORED
from speckflex.training import TrainingData, cache_frames

if TYPE_CHECKING:
    from pipeline import Step  # pyright: ignore[reportMissingImports]
    from sizes import Size


def read_frames(step: Step[Size]) -> TrainingData:
    """Return the training split, a tenth of it held out; the test split is not touched."""
    dataset = open_dataset(step.data, split="train")
    order = np.random.default_rng(step.seed).permutation(len(dataset))
    n_chosen = max(11, len(dataset) // 10)
    training = dataset.subset(order[n_chosen:])
    if step.size.flip:
        training = with_mirrors(training)
    return TrainingData(
        cache_frames(training, step.size.t_max),
        cache_frames(dataset.subset(order[:n_chosen]), step.size.t_max),
    )


def with_mirrors(dataset: EventDataset) -> EventDataset:
    """Return the recordings and their mirror images; a right hand's wave becomes a left one's."""
    mirrored = np.array(MIRRORED)[dataset.labels]
    return replace(
        dataset,
        items=tuple((item, flip) for flip in (False, True) for item in dataset.items),
        labels=np.concatenate([dataset.labels, mirrored]),
        read=lambda item: _read(dataset, *item),
    )


def _read(dataset: EventDataset, item: object, flip: bool) -> np.ndarray:  # noqa: FBT001
    events = dataset.read(item)
    return mirror(events, dataset.shape) if flip else events
