"""The recordings of a training as frames, and which of them train and which choose."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from speckflex.data.formats.dvs_gesture import CLASSES, MIRRORED
from speckflex.data.images import ImageDataset
from speckflex.errors import TrainingError
from speckflex.events.frames import cut_frames
from speckflex.training.streaming import StreamedFrames

if TYPE_CHECKING:
    from collections.abc import Callable

    from speckflex.data.dataset import EventDataset
    from speckflex.program.records import Shape
    from speckflex.training.settings import TrainingSettings

__all__ = [
    "FrameSet",
    "Split",
    "TrainingData",
    "cache_frames",
    "split_by_class",
    "split_frames",
    "stream_frames",
]

DTYPES = (torch.uint8, torch.int16, torch.int32)


@dataclass(frozen=True, eq=False)
class FrameSet:
    """Labelled recordings, cut into frames of equal time.

    Args:
        frames: (recording, time, channel, y, x) uint8, or wider where a count needs it; of images
            the pixels, in one frame. Streamed frames are read when they are used.
        labels: (recording,) int64, classes.
        events: the recordings themselves, in the same order; None where only frames are known.
    """

    frames: torch.Tensor | StreamedFrames
    labels: torch.Tensor
    events: EventDataset | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def mirrored_classes(self) -> np.ndarray | None:
        """(class,) int64, the class that a mirror image has; None where it is the same.

        In DVS-Gesture a mirror makes a movement of the right hand one of the left.
        """
        gestures = self.events is not None and self.events.classes == CLASSES
        return np.array(MIRRORED, np.int64) if gestures else None

    def check_events(self) -> None:
        """Check that a recording in memory has an event; streamed ones are not read for this.

        Raises:
            TrainingError: all frames are empty, and so are the events that are known.
        """
        if not isinstance(self.frames, torch.Tensor) or any(map(torch.any, self.frames)):
            return
        # frames may stand in for events that a board plays
        if self.events is None or not any(len(events) for events, _ in self.events):
            raise TrainingError(
                f"none of the {len(self)} recordings that train holds an event: check the files,"
                " and the options that choose a part of them, such as --crop"
            )

    def select(self, positions: np.ndarray) -> FrameSet:
        """Return the recordings at `positions`, (n,) int64."""
        chosen = torch.from_numpy(np.ascontiguousarray(positions, dtype=np.int64))
        events = None if self.events is None else self.events.subset(positions)
        if isinstance(self.frames, StreamedFrames):
            frames = self.frames.select(positions)
        else:
            frames = self.frames[chosen]
        return FrameSet(frames, self.labels[chosen], events)


def cache_frames(
    recordings: EventDataset,
    n_bins: int,
    *,
    frame_time: int | None = None,
    advance: Callable[[int], None] | None = None,
) -> FrameSet:
    """Return all recordings as frames of event counts, in the smallest integers that hold them.

    Args:
        recordings: each has a known class.
        n_bins: number of frames in a recording, of equal time.
        frame_time: µs of a frame, from time 0 on: the frames after the last event are empty, and
            events after the last frame are left out. None to divide each recording's own time.
        advance: called with 1 after each recording.

    Raises:
        TrainingError: there is no recording, one has no class, or `n_bins` is below 1.
        EventsError: a recording can't be read or does not fit its shape.
    """
    _check_recordings(recordings, n_bins)
    frames = torch.empty((len(recordings), n_bins, *recordings.shape), dtype=torch.uint8)
    for index in range(len(recordings)):
        events, _ = recordings[index]
        counts = cut_frames(events, recordings.shape, n_bins, frame_time)
        largest = int(counts.max(initial=0))
        if largest > torch.iinfo(frames.dtype).max:
            wider = next(dtype for dtype in DTYPES if largest <= torch.iinfo(dtype).max)
            frames = frames.to(wider)
        frames[index] = torch.from_numpy(counts)
        if advance is not None:
            advance(1)
    return FrameSet(frames, torch.from_numpy(recordings.labels.astype(np.int64)), recordings)


def stream_frames(
    recordings: EventDataset | ImageDataset, n_bins: int, *, frame_time: int | None = None
) -> FrameSet:
    """Return recordings or images as frames that are read when a batch needs them.

    An image has one frame, which every time step sees.

    Args:
        recordings: each has a known class.
        n_bins: number of frames in a recording, of equal time; without effect on images.
        frame_time: µs of a frame of a recording, as for `cache_frames`.

    Raises:
        TrainingError: there is no recording, one has no class, `n_bins` is below 1, or images are
            to have a frame time.
    """
    _check_recordings(recordings, n_bins)
    still = isinstance(recordings, ImageDataset)
    if still and frame_time is not None:
        raise TrainingError(
            f"{recordings.name}: its images have no time, so a frame can't be {frame_time} µs of"
            " it: leave --frame-time out"
        )
    frames = StreamedFrames(recordings, 1 if still else n_bins, frame_time)
    labels = torch.from_numpy(recordings.labels.astype(np.int64))
    return FrameSet(frames, labels, None if still else recordings)


def _check_recordings(recordings: EventDataset | ImageDataset, n_bins: int) -> None:
    if n_bins < 1:
        raise TrainingError(f"T is {n_bins}: cut a recording into at least 1 frame")
    if not len(recordings):
        raise TrainingError(f"{recordings.name} holds no recording: check the folder")
    if recordings.labels.min() < 0:
        index = int(recordings.labels.argmin())
        raise TrainingError(
            f"{recordings.name}: recording {recordings.items[index]} has no class:"
            " put the recordings into a folder for each class"
        )


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Recordings that train and recordings that choose the best epoch; none is in both.

    Args:
        training: at least one recording.
        validation: at least one recording.
    """

    training: FrameSet
    validation: FrameSet

    @property
    def shape(self) -> Shape:
        """The (channel, y, x) shape of a frame."""
        channels, height, width = self.training.frames.shape[2:]
        return (channels, height, width)

    @property
    def n_classes(self) -> int:
        """The number of outputs that score every class that occurs."""
        return 1 + max(int(part.labels.max()) for part in (self.training, self.validation))

    @property
    def sha256(self) -> str:
        """The hash of all frames and labels, in order; of streamed frames that of their names."""
        digest = hashlib.sha256()
        for part in (self.training, self.validation):
            tensors = [part.labels]
            if isinstance(part.frames, StreamedFrames):
                digest.update(part.frames.sha256.encode())
            else:
                tensors.insert(0, part.frames)
            for tensor in tensors:
                digest.update(repr((tensor.dtype, tuple(tensor.shape))).encode())
                digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()


def split_frames(recordings: FrameSet, settings: TrainingSettings) -> TrainingData:
    """Return the recordings split by class, with the share and the seed of the settings.

    Raises:
        TrainingError: there are fewer than two classes, or a class has one recording.
    """
    split = split_by_class(recordings.labels.numpy(), settings.validation_share, seed=settings.seed)
    return TrainingData(recordings.select(split.training), recordings.select(split.validation))


class Split(NamedTuple):
    """Positions of the recordings that train and of those that choose the best epoch.

    Args:
        training: (n,) int64, ascending.
        validation: (m,) int64, ascending; shares nothing with `training`.
    """

    training: np.ndarray
    validation: np.ndarray


def split_by_class(labels: np.ndarray, share: float, *, seed: int) -> Split:
    """Return a split that takes the rounded share of each class, at least one, for validation.

    Args:
        labels: (n,) int64, the class of each recording.
        share: 0 < share < 1.
        seed: of the draw.

    Raises:
        TrainingError: there are no recordings, a single class, or a class with one recording.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    if not len(classes):
        raise TrainingError(
            "the data holds no recording: training needs recordings of at least two classes:"
            " check the folder"
        )
    if len(classes) == 1:
        raise TrainingError(
            f"all {sizes[0]} recordings are of class {classes[0]}: training needs at least two"
            " classes: check the folder, or take more samples"
        )
    if sizes.min() == 1:
        raise TrainingError(
            f"class {classes[sizes.argmin()]} has one recording: one has to train and one to"
            " choose: add a second one, or take more samples"
        )
    rng = np.random.default_rng(seed)
    chosen = [
        rng.permutation(np.flatnonzero(labels == label))[: min(max(round(n * share), 1), n - 1)]
        for label, n in zip(classes, sizes.tolist(), strict=True)
    ]
    validation = np.sort(np.concatenate(chosen))
    return Split(np.setdiff1d(np.arange(len(labels)), validation), validation)
