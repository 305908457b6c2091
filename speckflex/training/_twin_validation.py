"""Accuracy on the twin, event by event, of the program that a network in training converts to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from speckflex.boards import open_board
from speckflex.conversion.convert import convert_with_checks
from speckflex.errors import ConversionError, NetworkError, TrainingError
from speckflex.networks.fold import fold_batchnorm
from speckflex.networks.spiking import spiking_network
from speckflex.training.shares import add_up, own_share, threads_of_share

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from torch import nn

    from speckflex.data.dataset import EventDataset
    from speckflex.program.program import Program
    from speckflex.training.data import FrameSet

__all__ = ["predictions_on_twin", "program_of", "twin_accuracy"]

RECORDINGS_AT_ONCE = 64


def twin_accuracy(
    network: nn.Module, recordings: FrameSet, *, fabric: Fabric | None = None
) -> float:
    """Return the share of recordings that are classified right on the twin.

    Args:
        network: stays as it is.
        recordings: frames with their events.
        fabric: processes that share the recordings; None for this process alone.

    Raises:
        TrainingError: only the frames are known, or the network can't be converted.
    """
    right = np.zeros(len(recordings), np.int64)
    own = own_share(len(recordings), fabric)
    if len(own):
        share = recordings.select(np.array(own))
        answers = predictions_on_twin(network, share, threads=threads_of_share(fabric))
        right[own] = answers == share.labels.numpy()
    return int(add_up(torch.from_numpy(right), fabric).sum()) / len(recordings)


def predictions_on_twin(
    network: nn.Module, recordings: FrameSet, *, threads: int | None = None
) -> np.ndarray:
    """Return the (recording,) int64 class of each recording on the twin, -1 for no answer.

    Raises:
        TrainingError: only the frames are known, or the network can't be converted.
    """
    dataset = _events_of(recordings)
    answers = []
    with open_board("twin", threads=threads) as board:
        board.load(program_of(network, recordings))
        for first in range(0, len(dataset), RECORDINGS_AT_ONCE):
            part = dataset[first : first + RECORDINGS_AT_ONCE]
            played = board.play([events for events, _ in part], keep_events=False)
            answers.append(played.answers())
    return np.concatenate(answers)


def program_of(network: nn.Module, recordings: FrameSet) -> Program:
    """Return the program of a network, of any size, with batch norm folded without bias.

    Raises:
        TrainingError: only the frames are known, or the network can't be converted.
    """
    shape = _events_of(recordings).shape
    try:
        network = fold_batchnorm(spiking_network(network))
        return convert_with_checks(network, shape, chip="unbounded").program
    except (ConversionError, NetworkError) as error:
        raise TrainingError(
            f"the twin can't choose the epoch because the network does not convert ({error}):"
            " choose by torch, or change the network"
        ) from error


def _events_of(recordings: FrameSet) -> EventDataset:
    if recordings.events is None:
        raise TrainingError(
            "the twin can't choose the epoch: of the recordings only frames are known: make them by"
            " cache_frames, or choose by torch"
        )
    return recordings.events
