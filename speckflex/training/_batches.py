"""The order of recordings in an epoch, and each process's part of every batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        shifts: (recording, 2) int64, pixels in y and x by which the frames were moved.
    """

    frames: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor
    total: int
    positions: np.ndarray
    shifts: np.ndarray

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
        shifts: (n, 2) int64, pixels in y and x that each recording moves, in the set's order.
    """

    positions: np.ndarray
    shifts: np.ndarray


def draw_order(n_recordings: int, shift: int, generator: np.random.Generator) -> EpochOrder:
    """Return the order and the shifts, up to `shift` pixels each way, of one epoch."""
    positions = generator.permutation(n_recordings)
    shifts = generator.integers(-shift, shift + 1, size=(n_recordings, 2))
    return EpochOrder(positions, shifts)


def n_batches(n_recordings: int, batch_size: int, n_processes: int) -> int:
    """Return the number of batches in an epoch; the last one may be smaller."""
    return -(-n_recordings // (batch_size * n_processes))


def iterate_batches(
    recordings: FrameSet, order: EpochOrder, batch_size: int, *, rank: int = 0, n_processes: int = 1
) -> Iterator[FrameBatch]:
    """Yield this process's part of every batch of an epoch.

    A batch holds `batch_size * n_processes` recordings, each in exactly one process. Where the
    last batch has fewer recordings than there are processes, a process without one runs a
    stand-in of weight 0, so that all processes exchange gradients equally often.
    """
    for start in range(0, len(recordings), batch_size * n_processes):
        whole = order.positions[start : start + batch_size * n_processes]
        part = whole[rank::n_processes]
        stand_in = not len(part)
        chosen = whole[:1] if stand_in else part
        frames = recordings.frames[torch.from_numpy(chosen)]
        yield FrameBatch(
            frames=_shifted(frames, order.shifts[chosen]),
            labels=recordings.labels[torch.from_numpy(chosen)],
            weights=torch.full((len(chosen),), 0.0 if stand_in else 1.0),
            total=len(whole),
            positions=chosen,
            shifts=order.shifts[chosen],
        )


def _shifted(frames: torch.Tensor, shifts: np.ndarray) -> torch.Tensor:
    """Return each recording moved by its (y, x) shift; pixels that leave the image are lost."""
    if not shifts.any():
        return frames
    margin = int(np.abs(shifts).max())
    height, width = frames.shape[-2:]
    padded = torch.nn.functional.pad(frames, (margin,) * 4)
    moved = [
        recording[..., margin - dy : margin - dy + height, margin - dx : margin - dx + width]
        for recording, (dy, dx) in zip(padded, shifts.tolist(), strict=True)
    ]
    return torch.stack(moved)
