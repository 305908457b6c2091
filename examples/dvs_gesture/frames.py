"""The recordings that train and those that choose the best epoch, as frames."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex.data import EventDataset, mirror, open_dataset
from speckflex.data.formats.dvs_gesture import MIRRORED
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
    if step.size.flip:
        training = with_mirrors(training)
    return TrainingData(
        cache_frames(training, step.size.t_max),
        cache_frames(dataset.subset(order[:n_chosen]), step.size.t_max),
    )


def with_mirrors(dataset: EventDataset) -> EventDataset:
    """Return the recordings and their mirror images; the right hand's wave becomes the left's."""
    mirrored = np.array(MIRRORED)[dataset.labels]

    def read(item: tuple[Any, bool]) -> np.ndarray:
        original, is_mirrored = item
        events = dataset.read(original)
        return mirror(events, dataset.shape) if is_mirrored else events

    return replace(
        dataset,
        items=tuple((item, flip) for flip in (False, True) for item in dataset.items),
        labels=np.concatenate([dataset.labels, mirrored]),
        read=read,
    )
