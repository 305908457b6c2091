"""A user's own images as an event sensor would see them, in N-MNIST's layout."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from speckflex.data.formats.nmnist import CLASSES, SHAPE, write_nmnist_file
from speckflex.data.synthetic._saccades import VERSION, simulate_saccades
from speckflex.data.synthetic.files import write_split
from speckflex.errors import EventsError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["write_saccade_recordings"]


def write_saccade_recordings(
    images: np.ndarray, labels: Sequence[int] | np.ndarray, folder: str | Path, *, seed: int = 0
) -> Path:
    """Write a simulated recording of each image into label folders and return `folder`.

    Args:
        images: `(n, y, x)`, uint8 from 0 to 255 or floats from 0 to 1, bright on dark, at most
            34 pixels a side.
        labels: `(n,)` integers 0..9.
        folder: gets `<label>/<index>.bin` in N-MNIST's format, and the mark `synthetic.json`;
            name it `Train` or `Test` inside a folder to make a whole data set.
        seed: for position and noise; a recording depends only on its index and the seed.

    Raises:
        EventsError: images or labels are not of this kind, or the folder can't be written to.
    """
    folder, images, labels = Path(folder), np.asarray(images), np.asarray(labels)
    _check_images(images)
    known = labels.dtype.kind in "iu" and ((labels >= 0) & (labels < len(CLASSES))).all()
    if labels.shape != images.shape[:1] or not known:
        raise EventsError(
            f"labels of shape {labels.shape} and dtype {labels.dtype} do not name the"
            f" {len(images)} images: give one integer from 0 to 9 for each"
        )
    scale = 255 if images.dtype == np.uint8 else 1

    def simulate(index: int) -> np.ndarray:
        return simulate_saccades(images[index] / scale, np.random.default_rng((seed, index)))

    digest = hashlib.sha256(images.tobytes() + labels.astype(np.int64).tobytes()).hexdigest()
    settings = {"data": "saccades", "images": digest, "seed": seed, "version": VERSION}
    files = [(f"{label}/{index:05d}.bin", index) for index, label in enumerate(labels)]
    write_split(folder, settings, files, simulate, write_nmnist_file)
    return folder


def _check_images(images: np.ndarray) -> None:
    if images.ndim != 3 or not 1 <= max(images.shape[1:]) <= SHAPE[1]:
        raise EventsError(
            f"images of shape {images.shape} can't be shown to the sensor: give (n, y, x) with at"
            f" most {SHAPE[1]} pixels a side"
        )
    bright = images.dtype == np.uint8 or (
        images.dtype.kind == "f" and ((images >= 0) & (images <= 1)).all()
    )
    if not bright:
        raise EventsError(
            f"images of dtype {images.dtype} are no brightness, or have values outside 0 to 1: give"
            " uint8, or floats from 0 to 1"
        )
