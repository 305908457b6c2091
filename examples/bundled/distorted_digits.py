"""More handwriting from few images: digits rotated, stretched and sheared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import affine_transform
from sklearn.datasets import load_digits

from speckflex.data import EventDataset, open_dataset, write_saccade_recordings

if TYPE_CHECKING:
    from pathlib import Path

PIXELS = 20  # a side of the digit on the sensor, as in synthetic-digits
STRENGTH = 0.2  # standard deviation of the distorting matrix, about 10 degrees of rotation


def distorted_recordings(positions: np.ndarray, folder: Path, *, seed: int) -> EventDataset:
    """Return recordings of the images at `positions`, each distorted at random, in `folder`."""
    pixels, labels = load_digits(return_X_y=True)
    images = np.asarray(pixels, float).reshape(-1, 8, 8)[positions] / 16
    rng = np.random.default_rng(seed)
    distorted = np.stack([_distort(image, rng) for image in images])
    write_saccade_recordings(distorted, labels[positions], folder / "Train", seed=seed)
    return open_dataset(folder, split="train")


def _distort(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a larger, sharper image, `(20, 20)` from 0 to 1, through a random linear map."""
    matrix = (np.eye(2) + rng.normal(0, STRENGTH / 2, (2, 2))) * len(image) / PIXELS
    centre = (len(image) - 1) / 2
    offset = centre - matrix @ np.full(2, (PIXELS - 1) / 2)
    smooth = affine_transform(image, matrix, offset, (PIXELS, PIXELS), order=3)
    sharp = 1 / (1 + np.exp(-10 * (smooth - 0.5)))
    return sharp * (sharp > 0.02)
