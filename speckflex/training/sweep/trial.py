"""One trial of a search: a training, and what its network does on the twin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from speckflex.analysis.synops import measure_synops
from speckflex.boards import open_board
from speckflex.training._twin_validation import RECORDINGS_AT_ONCE, program_of
from speckflex.training.on_board.board_loop import events_of

if TYPE_CHECKING:
    from torch import nn

    from speckflex.training.data import FrameSet

__all__ = ["OnTwin", "measure_on_twin"]


@dataclass(frozen=True)
class OnTwin:
    """What a network does on the twin, event by event in 8 bits.

    Args:
        accuracy: share of the recordings that are classified right.
        peak_load: of the busiest core in its busiest 10 ms, a share of what a core can do.
    """

    accuracy: float
    peak_load: float


def measure_on_twin(
    network: nn.Module, recordings: FrameSet, *, threads: int | None = None
) -> OnTwin:
    """Play recordings on the twin.

    Args:
        network: stays as it is.
        recordings: frames with their events.
        threads: of the twin; None for one per processor.

    Raises:
        TrainingError: only the frames are known, or the network can't be converted.
    """
    program, dataset = program_of(network, recordings), events_of(recordings)
    right, loads = 0, [0.0]
    with open_board("twin", threads=threads) as board:
        board.load(program)
        for first in range(0, len(dataset), RECORDINGS_AT_ONCE):
            part = dataset[first : first + RECORDINGS_AT_ONCE]
            streams = [events for events, _ in part]
            played = board.play(streams)
            labels = np.array([label for _, label in part])
            right += int((played.answers() == labels).sum())
            cores = measure_synops(program, played, streams)
            loads += [core.load or 0.0 for core in cores]
    return OnTwin(right / len(dataset), max(loads))
