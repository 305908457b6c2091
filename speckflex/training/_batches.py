"""The order of recordings in an epoch, and each process's part of every batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from speckflex.training.streaming import StreamedFrames, read_ahead

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from speckflex.training.augmentation import Augmentation, Changes
    from speckflex.training.data import FrameSet

__all__ = ["EpochOrder", "FrameBatch", "draw_order", "iterate_batches", "n_batches"]


@dataclass(frozen=True, eq=False)
class FrameBatch:
    """One process's part of a batch.

    Args:
        frames: (recording, time, channel, y, x), the recordings' own integers.
        labels: (recording,) int64.
        weights: (recording,) float32, 1; 0 for the stand-in of a process without a recording.
        total: number of recordings of the batch in all processes together.
        positions: (recording,) int64, in the set.
        changes: how the recordings of the set were changed into these.
    """

    frames: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor
    total: int
    positions: np.ndarray
    changes: Changes

    def to(self, device: torch.device) -> FrameBatch:
        """Return the same batch on a device."""
        return replace(
            self,
            frames=self.frames.to(device),
            labels=self.labels.to(device),
            weights=self.weights.to(device),
        )


@dataclass(frozen=True, eq=False)
class EpochOrder:
    """The random numbers of an epoch's batches, the same in every process.

    Args:
        positions: (n,) int64, the order of the recordings.
        changes: of each recording, in the set's order.
    """

    positions: np.ndarray
    changes: Changes


def draw_order(
    n_recordings: int, augmentation: Augmentation, generator: np.random.Generator
) -> EpochOrder:
    """Return the order and the changes of one epoch's recordings."""
    positions = generator.permutation(n_recordings)
    return EpochOrder(positions, augmentation.draw(n_recordings, generator))


def n_batches(n_recordings: int, batch_size: int, n_processes: int) -> int:
    """Return the number of batches in an epoch; the last one may be smaller."""
    return -(-n_recordings // (batch_size * n_processes))


def iterate_batches(
    recordings: FrameSet, order: EpochOrder, batch_size: int, *, rank: int = 0, n_processes: int = 1
) -> Iterator[FrameBatch]:
    """Return this process's part of every batch of an epoch.

    A batch holds `batch_size * n_processes` recordings, each in exactly one process. Where the
    last batch has fewer recordings than there are processes, a process without one runs a
    stand-in of weight 0, so that all processes exchange gradients equally often. Frames that are
    not in memory are read while the batch before them is in use.
    """
    batches = _batches(recordings, order, batch_size, rank, n_processes)
    streamed = isinstance(recordings.frames, StreamedFrames)
    return read_ahead(batches) if streamed else batches


def _batches(
    recordings: FrameSet, order: EpochOrder, batch_size: int, rank: int, n_processes: int
) -> Iterator[FrameBatch]:
    for start in range(0, len(recordings), batch_size * n_processes):
        whole = order.positions[start : start + batch_size * n_processes]
        part = whole[rank::n_processes]
        stand_in = not len(part)
        chosen = whole[:1] if stand_in else part
        places, changes = torch.from_numpy(chosen), order.changes.select(chosen)
        yield FrameBatch(
            frames=changes.of_frames(recordings.frames[places]),
            labels=changes.of_labels(recordings.labels[places], recordings.mirrored_classes),
            weights=torch.full((len(chosen),), 0.0 if stand_in else 1.0),
            total=len(whole),
            positions=chosen,
            changes=changes,
        )
