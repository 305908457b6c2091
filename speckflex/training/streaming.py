"""Frames that are read when a batch needs them, for data that does not fit in memory."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from speckflex.data.images import ImageDataset
from speckflex.events.frames import cut_frames

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from speckflex.data.dataset import EventDataset

__all__ = ["StreamedFrames", "read_ahead"]

THREADS = 4  # decoding an image releases Python's lock

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class StreamedFrames:
    """The frames of a data set, `(recording, time, channel, y, x)`, none of them in memory.

    It stands for the tensor of a `FrameSet`: an index or a slice reads the recordings that it
    names. An image is one frame, which each time step sees again.

    Args:
        dataset: recordings or images.
        n_bins: frames in a recording, of equal time; 1 for images.
        frame_time: µs of a frame, as for `cut_frames`; None to divide each recording's own time.
    """

    dataset: EventDataset | ImageDataset
    n_bins: int
    frame_time: int | None = None

    @property
    def shape(self) -> torch.Size:
        """The shape that all frames together would have."""
        return torch.Size((len(self.dataset), self.n_bins, *self.dataset.shape))

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: slice | torch.Tensor) -> torch.Tensor:
        """Return the frames at `index`, in the smallest integers that hold their counts.

        Raises:
            EventsError: a recording can't be read.
        """
        if isinstance(index, slice):
            positions = np.arange(len(self))[index]
        else:
            positions = index.cpu().numpy().reshape(-1)
        with ThreadPoolExecutor(THREADS) as pool:
            parts = list(pool.map(self._read, positions.tolist()))
        if not parts:
            return torch.zeros((0, *self.shape[1:]), dtype=torch.uint8)
        return torch.from_numpy(_narrow(np.stack(parts)))

    def _read(self, position: int) -> np.ndarray:
        values, _ = self.dataset[position]
        if isinstance(self.dataset, ImageDataset):
            return values[None]
        return cut_frames(values, self.dataset.shape, self.n_bins, self.frame_time)

    def select(self, positions: np.ndarray) -> StreamedFrames:
        """Return the recordings at `positions`, (n,) int64, none of them read."""
        return replace(self, dataset=self.dataset.subset(positions))

    @property
    def sha256(self) -> str:
        """The hash of the names of all recordings, in order: reading all would take an epoch."""
        shape = tuple(self.shape)
        cut = shape if self.frame_time is None else (shape, self.frame_time)
        digest = hashlib.sha256(repr(cut).encode())
        for item in self.dataset.items:
            digest.update(repr(item).encode())
        return digest.hexdigest()


def _narrow(frames: np.ndarray) -> np.ndarray:
    largest = frames.max(initial=0)
    kinds = (np.uint8, np.int16, np.int32)
    return frames.astype(next(kind for kind in kinds if largest <= np.iinfo(kind).max))


def read_ahead(batches: Iterable[T]) -> Iterator[T]:
    """Yield the same batches, each read while the one before it is in use."""
    iterator = iter(batches)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, iterator, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, iterator, None)
            yield batch
