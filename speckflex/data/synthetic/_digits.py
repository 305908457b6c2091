"""Handwritten digits as an event sensor would see them, in N-MNIST's layout."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import NamedTuple

import numpy as np

from speckflex.data.dataset import EventDataset
from speckflex.data.formats.nmnist import CLASSES, SHAPE, open_nmnist_folder, write_nmnist_file
from speckflex.data.synthetic._filters import enlarged
from speckflex.data.synthetic._saccades import VERSION, simulate_saccades
from speckflex.data.synthetic.files import write_split

__all__ = ["open_synthetic_digits", "write_synthetic_digits"]

N_TEST = 297  # the last of the 1797 images
SMALL_PIXELS = 8  # a side of the images
GLYPH_PIXELS = 20  # a side of the digit on the sensor


class Glyph(NamedTuple):
    """One recording to be simulated: the number of the image, and the seed of its noise."""

    image: int
    seed: int

    def __str__(self) -> str:
        return f"synthetic digit {self.image}, seed {self.seed}"


def open_synthetic_digits(
    split: str, *, seed: int = 0, cache_folder: Path | None = None
) -> EventDataset:
    """Return 1797 handwritten digits as simulated recordings.

    1500 images are for training and 297 others for testing, with every seed.

    Args:
        split: train, test or all.
        seed: for position and noise.
        cache_folder: where to keep the recordings as files in N-MNIST's layout; without one
            each recording is simulated when it is read (about 10 ms), and nothing is written.
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
    with the mark `synthetic.json`. A split that is complete is not written again.

    Raises:
        EventsError: the folder can't be written to.
    """
    target = Path(folder) / f"synthetic-digits-{seed}"
    settings = {"data": "synthetic-digits", "seed": seed, "version": VERSION}
    labels = _images()[1]
    for name in ("Train", "Test"):
        if split in ("all", name.lower()):
            recordings = [
                (f"{labels[i]}/{i:05d}.bin", Glyph(i, seed)) for i in _split_indices(name.lower())
            ]
            write_split(target / name, settings, recordings, _simulate, write_nmnist_file)
    return target


@cache
def _images() -> tuple[np.ndarray, np.ndarray]:
    """Return the images `(n, 20, 20)` from 0 to 1 and their labels `(n,) int64`."""
    with as_file(files("speckflex") / "data" / "digits" / "digits.csv.gz") as path:
        table = np.loadtxt(path, delimiter=",")
    images = table[:, :-1].reshape(-1, SMALL_PIXELS, SMALL_PIXELS) / 16
    smooth = enlarged(images, GLYPH_PIXELS)
    # A steeper slope gives the strokes the sharp edges that a camera would see.
    sharp = 1 / (1 + np.exp(-10 * (smooth - 0.5)))
    return sharp * (sharp > 0.02), table[:, -1].astype(np.int64)


def _split_indices(split: str) -> list[int]:
    n_images = len(_images()[1])
    ranges = {"train": (0, n_images - N_TEST), "test": (n_images - N_TEST, n_images)}
    return list(range(*ranges.get(split, (0, n_images))))


def _simulate(glyph: Glyph) -> np.ndarray:
    rng = np.random.default_rng((glyph.seed, glyph.image))
    return simulate_saccades(_images()[0][glyph.image], rng)
