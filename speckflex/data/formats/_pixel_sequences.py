"""MNIST's IDX files as sequences: one pixel of an image after the other (seqMNIST)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from speckflex.data.dataset import EventDataset
from speckflex.data.formats._idx import read_idx
from speckflex.errors import EventsError
from speckflex.events.streams import make_events

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PIXEL_TIME", "SHAPE", "is_idx_folder", "open_idx_folder", "sequence_of"]

SHAPE = (1, 1, 1)
PIXEL_TIME = 1000  # µs from one pixel to the next
# The names that MNIST's files have, with and without ".gz", for each split.
STEMS = {"train": "train", "test": "t10k"}
IMAGE_AXES = 3


class Image(NamedTuple):
    """One image of a file.

    Attributes:
        images: path of the IDX file.
        number: of the image in it.
        pixels: (y * x,) uint8, from left to right and from top to bottom.
    """

    images: Path
    number: int
    pixels: np.ndarray

    def __str__(self) -> str:
        return f"{self.images} (image {self.number})"


def is_idx_folder(folder: Path) -> bool:
    """Return whether a folder has images of MNIST under their own names."""
    return any(_find(folder, f"{stem}-images") is not None for stem in STEMS.values())


def open_idx_folder(folder: Path, split: str) -> EventDataset:
    """Return the images of MNIST's IDX files, each as a sequence of its pixels.

    Args:
        folder: has `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, or the same with `t10k`,
            gzipped or not; `idx3-ubyte` may follow a point.
        split: train, test or all.

    Raises:
        EventsError: a file is missing or damaged, or images and labels do not belong together.
    """
    items: list[Image] = []
    labels: list[np.ndarray] = []
    for part, stem in STEMS.items():
        if split in ("all", part):
            images, classes = _read_pair(folder, part, stem)
            path = _path(folder, part, f"{stem}-images")
            items += [Image(path, number, pixels) for number, pixels in enumerate(images)]
            labels.append(classes)
    known = np.concatenate(labels)
    return EventDataset(
        name="MNIST pixel by pixel",
        shape=SHAPE,
        classes=tuple(map(str, range(max(10, int(known.max(initial=0)) + 1)))),
        labels=known,
        synthetic=False,
        items=tuple(items),
        read=sequence_of,
    )


def sequence_of(image: Image) -> np.ndarray:
    """Return an image as events: pixel k, of value v, is v events at k ms.

    So frames of 1 ms hold the values of the pixels, one in each frame.
    """
    places = np.repeat(np.arange(len(image.pixels), dtype=np.int64), image.pixels)
    zeros = np.zeros(len(places), np.int64)
    return make_events(places * PIXEL_TIME, zeros, zeros, zeros)


def _read_pair(folder: Path, part: str, stem: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, y * x) uint8 images and (n,) int64 labels of a split."""
    paths = [_path(folder, part, f"{stem}-{kind}") for kind in ("images", "labels")]
    images, labels = (read_idx(path) for path in paths)
    if images.ndim != IMAGE_AXES or labels.ndim != 1 or len(images) != len(labels):
        raise EventsError(
            f"{paths[0]}: holds an array of shape {images.shape}, its labels in {paths[1].name}"
            f" have shape {labels.shape}: give images (n, y, x) with one label for each"
        )
    if not images.size:
        raise EventsError(f"{paths[0]}: holds no pixel: copy the file again")
    return images.reshape(len(images), -1), labels.astype(np.int64)


def _path(folder: Path, part: str, stem: str) -> Path:
    found = _find(folder, stem)
    if found is None:
        axes = 3 if stem.endswith("images") else 1
        raise EventsError(
            f"{folder}: has no {stem}-idx{axes}-ubyte for the split {part}: add it, or choose"
            " another split"
        )
    return found


def _find(folder: Path, stem: str) -> Path | None:
    axes = 3 if stem.endswith("images") else 1
    names = (f"{stem}{mark}idx{axes}-ubyte{end}" for mark in "-." for end in ("", ".gz"))
    return next((folder / name for name in names if (folder / name).is_file()), None)
