"""Synthetic digits: handwritten digits as an event sensor would see them, in N-MNIST's layout."""

from __future__ import annotations

import hashlib
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from speckflex.data.dataset import EventDataset
from speckflex.data.folders import write_split
from speckflex.data.nmnist import CLASSES, SHAPE, open_nmnist_folder, write_nmnist_file
from speckflex.data.saccades import simulate_saccades
from speckflex.errors import EventsError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "open_synthetic_digits",
    "write_saccade_recordings",
    "write_synthetic_digits",
]

N_TEST = 297  # the last of scikit-learn's 1797 images, so that tests see unseen handwriting
SMALL_PIXELS = 8  # a side of scikit-learn's images
GLYPH_PIXELS = 20  # a side of the digit on the sensor
VERSION = 2  # of the simulation; a change of its figures makes another data set


class Glyph(NamedTuple):
    """One recording to be simulated: which image, and the seed of its noise."""

    image: int
    seed: int

    def __str__(self) -> str:
        return f"synthetic digit {self.image}, seed {self.seed}"


def open_synthetic_digits(
    split: str, *, seed: int = 0, cache_folder: Path | None = None
) -> EventDataset:
    """Return scikit-learn's 1797 handwritten digits as simulated recordings.

    1500 images are for training and 297 others for testing, whatever the seed.

    Args:
        split: train, test or all.
        seed: of position and noise.
        cache_folder: where to keep the recordings as files in N-MNIST's layout; without one
            each is simulated when it is read (about 10 ms) and nothing is written.
    """
    if cache_folder is not None:
        return open_nmnist_folder(
            write_synthetic_digits(cache_folder, seed=seed, split=split), split
        )
    indices = _split_indices(split)
    return EventDataset(
        name="synthetic-digits",
        shape=SHAPE,
        classes=CLASSES,
        labels=_images()[1][indices],
        synthetic=True,
        items=tuple(Glyph(index, seed) for index in indices),
        read=_simulate,
    )


def write_synthetic_digits(folder: str | Path, *, seed: int = 0, split: str = "all") -> Path:
    """Write the synthetic digits in N-MNIST's layout and return their folder.

    The folder is `synthetic-digits-<seed>` inside `folder`, with `Train` and `Test` in it, each
    with the mark `synthetic.json`; a split that is complete already is left as it is.

    Raises:
        EventsError: the folder can't be written to.
    """
    target = Path(folder) / f"synthetic-digits-{seed}"
    settings = {"data": "synthetic-digits", "seed": seed, "version": VERSION}
    labels = _images()[1]
    for name in ("Train", "Test"):
        if split in ("all", name.lower()):
            files = [
                (f"{labels[i]}/{i:05d}.bin", partial(_write, glyph=Glyph(i, seed)))
                for i in _split_indices(name.lower())
            ]
            write_split(target / name, settings, files)
    return target


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
        seed: of position and noise; a recording depends on its index and the seed alone.

    Raises:
        EventsError: images or labels are not of this kind, or the folder can't be written to.
    """
    folder, images, labels = Path(folder), np.asarray(images), np.asarray(labels)
    _check_images(images, labels)
    scale = 255 if images.dtype == np.uint8 else 1
    files = [
        (f"{label}/{index:05d}.bin", partial(_write_image, image=image / scale, seed=(seed, index)))
        for index, (image, label) in enumerate(zip(images, labels, strict=True))
    ]
    digest = hashlib.sha256(images.tobytes() + labels.astype(np.int64).tobytes()).hexdigest()
    write_split(
        folder,
        {"data": "saccades", "images": digest, "seed": seed, "version": VERSION},
        files,
    )
    return folder


def _check_images(images: np.ndarray, labels: np.ndarray) -> None:
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
            f"images of dtype {images.dtype} are no brightness: give uint8, or floats from 0 to 1"
        )
    known = labels.dtype.kind in "iu" and ((labels >= 0) & (labels < len(CLASSES))).all()
    if labels.shape != images.shape[:1] or not known:
        raise EventsError(
            f"labels of shape {labels.shape} and dtype {labels.dtype} do not name the"
            f" {len(images)} images: give one integer from 0 to 9 for each"
        )


@cache
def _images() -> tuple[np.ndarray, np.ndarray]:
    """Return the images `(n, 20, 20)` from 0 to 1 and their labels `(n,) int64`."""
    from scipy.ndimage import zoom
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = np.asarray(pixels, float).reshape(-1, SMALL_PIXELS, SMALL_PIXELS) / 16
    scale = (1, GLYPH_PIXELS / SMALL_PIXELS, GLYPH_PIXELS / SMALL_PIXELS)
    smooth = np.asarray(zoom(images, scale, order=3, mode="grid-constant", grid_mode=True))
    # A steeper slope gives the strokes the sharp edges that a camera would see.
    sharp = 1 / (1 + np.exp(-10 * (smooth - 0.5)))
    return sharp * (sharp > 0.02), np.asarray(labels, np.int64)


def _split_indices(split: str) -> list[int]:
    n_images = len(_images()[1])
    ranges = {"train": (0, n_images - N_TEST), "test": (n_images - N_TEST, n_images)}
    return list(range(*ranges.get(split, (0, n_images))))


def _write_image(path: Path, image: np.ndarray, seed: tuple[int, int]) -> None:
    write_nmnist_file(path, simulate_saccades(image, np.random.default_rng(seed)))


def _write(path: Path, glyph: Glyph) -> None:
    write_nmnist_file(path, _simulate(glyph))


def _simulate(glyph: Glyph) -> np.ndarray:
    rng = np.random.default_rng((glyph.seed, glyph.image))
    return simulate_saccades(_images()[0][glyph.image], rng)
