"""Recordings of several folders as one data set, and what networks answer to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import speckflex as sf
from speckflex.data import EventDataset
from speckflex.training import cache_frames, evaluate
from speckflex.training.mixed.stages import MixedTimestepNetwork

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

RECORDINGS_AT_ONCE = 64


def joined(sets: Sequence[EventDataset]) -> EventDataset:
    """Return the recordings of several data sets of one layout, one set after the other.

    Each is read once and then kept in memory.
    """
    known: dict[Any, np.ndarray] = {}

    def read(item: Any) -> np.ndarray:
        if item not in known:
            part, index = item
            known[item] = sets[part][index][0]
        return known[item]

    items = tuple((part, index) for part, each in enumerate(sets) for index in range(len(each)))
    labels = np.concatenate([each.labels for each in sets])
    synthetic = all(each.synthetic for each in sets)
    first = sets[0]
    return EventDataset("joined", first.shape, first.classes, labels, synthetic, items, read)


def folds_of(labels: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    """Return (recording,) int64, the fold of each; each class is spread evenly over the folds."""
    rng = np.random.default_rng(seed)
    folds = np.empty(len(labels), np.int64)
    offset = 0
    for label in np.unique(labels):
        places = rng.permutation(np.flatnonzero(labels == label))
        folds[places] = (offset + np.arange(len(places))) % n_folds
        offset += len(places)
    return folds


def answers_on_twin(network: nn.Module, recordings: EventDataset, **settings: Any) -> list[int]:
    """Return the twin's answer to each recording, -1 for none."""
    answers: list[int] = []
    with sf.open_board("twin", threads=1, **settings) as board:
        board.load(sf.convert(network, input_shape=recordings.shape, chip="unbounded"))
        for first in range(0, len(recordings), RECORDINGS_AT_ONCE):
            part = recordings[first : first + RECORDINGS_AT_ONCE]
            played = board.play([events for events, _ in part], keep_events=False)
            answers.extend(played.answers().tolist())
    return answers


def answers_in_torch(network: nn.Module, recordings: EventDataset, t: int) -> list[int]:
    """Return what the network answers to each recording in t time steps, -1 for none."""
    frames = cache_frames(recordings, t)
    return evaluate(MixedTimestepNetwork(network), frames).answers.tolist()
