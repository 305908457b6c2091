"""A batch of recordings played on a board, its spikes counted into frames."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from speckflex.errors import TrainingError
from speckflex.kernels.bin_events import bin_events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.boards import Board
    from speckflex.program.records import Shape
    from speckflex.recordings.recording import Recording

__all__ = ["PlayedBatch", "play_batch"]


@dataclass(frozen=True, eq=False)
class PlayedBatch:
    """What a board played, in frames that begin and end with each recording.

    Args:
        frames: (recording, time, channel, y, x) float32, the input events.
        spikes: for each layer (recording, time, channel, y, x) float32, its spikes.
        scores: (recording, class) int64, spikes of the last layer, or its potentials.
        widths: (recording,) int64, of one frame, µs.
    """

    frames: torch.Tensor
    spikes: tuple[torch.Tensor, ...]
    scores: torch.Tensor
    widths: torch.Tensor


def play_batch(
    board: Board, streams: Sequence[np.ndarray], shape: Shape, n_bins: int, *, threads: int = 1
) -> PlayedBatch:
    """Return what the loaded program of a board does with a batch of recordings.

    Args:
        board: with a program.
        streams: an event array for each recording.
        shape: (channel, y, x) of the events.
        n_bins: number of frames.
        threads: that count events into frames.

    Raises:
        TrainingError: the board does not return the spikes of every layer.
    """
    recording = board.play(list(streams))
    check_all_layers(board, recording)
    spans = [_span(events, n_bins) for events in streams]
    parts = [(shape, streams)]
    parts += [(layer.shape, layer.events or ()) for layer in recording.layers]
    frames, *spikes = [_frames(events, size, spans, n_bins, threads) for size, events in parts]
    return PlayedBatch(
        frames=frames,
        spikes=tuple(spikes),
        scores=torch.from_numpy(recording.layer(-1).scores),
        widths=torch.tensor([width for _, width in spans]),
    )


def check_all_layers(board: Board, recording: Recording) -> None:
    """Check that a recording holds the spikes of every layer of the program.

    Raises:
        TrainingError: it does not.
    """
    recorded = [layer.index for layer in recording.layers if layer.events is not None]
    if len(recorded) < recording.n_layers:
        missing = sorted(set(range(recording.n_layers)) - set(recorded))
        raise TrainingError(
            f"board {board.name}: returns no spikes of layer {missing[0]} of"
            f" {recording.n_layers}, and training needs those of every layer: choose a board that"
            " monitors all layers, such as twin"
        )


def _span(events: np.ndarray, n_bins: int) -> tuple[int, int]:
    """Return the first moment of a recording and the width of a frame, µs, as `to_frames` does."""
    if not len(events):
        return 0, 1
    first, last = int(events["t"].min()), int(events["t"].max())
    return first, max((last - first) // n_bins, 1)


def _frames(
    streams: Sequence[np.ndarray],
    shape: Shape,
    spans: Sequence[tuple[int, int]],
    n_bins: int,
    threads: int,
) -> torch.Tensor:
    frames = np.zeros((len(streams), n_bins, *shape), np.float32)

    def count(first: int) -> None:
        for index in range(first, len(streams), threads):
            bin_events(streams[index], *spans[index], frames[index])

    if threads == 1:
        count(0)
    else:
        with ThreadPoolExecutor(threads) as pool:
            # a list, so that an error in a thread is raised here
            list(pool.map(count, range(threads)))
    return torch.from_numpy(frames)
