"""Recordings as frames in memory, in the smallest integers that hold them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from speckflex.errors import TrainingError
from speckflex.events.frames import to_frames

if TYPE_CHECKING:
    from collections.abc import Callable

    from speckflex.data.dataset import EventDataset

__all__ = ["FrameSet", "cache_frames"]

DTYPES = (torch.uint8, torch.int16, torch.int32)


@dataclass(frozen=True, eq=False)
class FrameSet:
    """Labelled recordings, cut into frames of equal time.

    Args:
        frames: (recording, time, channel, y, x) uint8, or wider where a count needs it.
        labels: (recording,) int64, classes.
        events: the recordings themselves, in the same order; None where only frames are known.
    """

    frames: torch.Tensor
    labels: torch.Tensor
    events: EventDataset | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def n_bins(self) -> int:
        """Frames in a recording."""
        return self.frames.shape[1]

    def select(self, positions: np.ndarray) -> FrameSet:
        """Return the recordings at `positions`, (n,) int64."""
        chosen = torch.from_numpy(np.ascontiguousarray(positions, dtype=np.int64))
        events = None if self.events is None else self.events.subset(positions)
        return FrameSet(self.frames[chosen], self.labels[chosen], events)


def cache_frames(
    recordings: EventDataset, n_bins: int, *, advance: Callable[[int], None] | None = None
) -> FrameSet:
    """Return all recordings as frames of event counts.

    Args:
        recordings: with a known class each.
        n_bins: frames in a recording, of equal time.
        advance: called with 1 after each recording.

    Raises:
        TrainingError: there is no recording, one has no class, or `n_bins` is below 1.
        EventsError: a recording can't be read or does not fit its shape.
    """
    _check_recordings(recordings, n_bins)
    frames = torch.empty((len(recordings), n_bins, *recordings.shape), dtype=torch.uint8)
    for index in range(len(recordings)):
        events, _ = recordings[index]
        counts = to_frames(events, recordings.shape, n_bins)
        frames = _wide_enough(frames, int(counts.max(initial=0)))
        frames[index] = torch.from_numpy(counts)
        if advance is not None:
            advance(1)
    return FrameSet(frames, torch.from_numpy(recordings.labels.astype(np.int64)), recordings)


def _check_recordings(recordings: EventDataset, n_bins: int) -> None:
    if n_bins < 1:
        raise TrainingError(f"T is {n_bins}: a recording needs at least 1 frame")
    if not len(recordings):
        raise TrainingError(f"{recordings.name} holds no recording: check the folder")
    if recordings.labels.min() < 0:
        index = int(recordings.labels.argmin())
        raise TrainingError(
            f"{recordings.name}: recording {recordings.items[index]} has no class:"
            " put recordings into a folder per class"
        )


def _wide_enough(frames: torch.Tensor, largest: int) -> torch.Tensor:
    if largest <= torch.iinfo(frames.dtype).max:
        return frames
    wider = next(dtype for dtype in DTYPES if largest <= torch.iinfo(dtype).max)
    return frames.to(wider)
