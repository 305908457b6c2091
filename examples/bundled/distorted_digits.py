"""More handwriting from few images: digits rotated, stretched and sheared."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from scipy.ndimage import affine_transform
from sklearn.datasets import load_digits

from speckflex.data import open_dataset, write_saccade_recordings
from speckflex.training import FrameSet, cache_frames

PIXELS = 20  # a side of the digit on the sensor, as in synthetic-digits
STRENGTH = 0.2  # standard deviation of the distorting matrix, about 10 degrees of rotation


def distorted_recordings(positions: np.ndarray, n_bins: int, *, seed: int) -> FrameSet:
    """Return recordings of the images at `positions`, each distorted at random, as frames."""
    pixels, labels = load_digits(return_X_y=True)
    images = np.asarray(pixels, float).reshape(-1, 8, 8)[positions] / 16
    rng = np.random.default_rng(seed)
    distorted = np.stack([_distort(image, rng) for image in images])
    with tempfile.TemporaryDirectory() as folder:
        write_saccade_recordings(distorted, labels[positions], Path(folder) / "Train", seed=seed)
        return cache_frames(open_dataset(folder, split="train"), n_bins)


def _distort(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a larger, sharper image, `(20, 20)` from 0 to 1, through a random linear map."""
    matrix = (np.eye(2) + rng.normal(0, STRENGTH / 2, (2, 2))) * len(image) / PIXELS
    centre = (len(image) - 1) / 2
    offset = centre - matrix @ np.full(2, (PIXELS - 1) / 2)
    smooth = affine_transform(image, matrix, offset, (PIXELS, PIXELS), order=3)
    sharp = 1 / (1 + np.exp(-10 * (smooth - 0.5)))
    return sharp * (sharp > 0.02)
