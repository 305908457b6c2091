"""Cluttered digits in the binary format of CIFAR-10: a set of images that needs no download."""

from __future__ import annotations

import gzip
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

SIDE, SCALE = 32, 2  # a digit has 8 x 8 pixels, which are drawn as 16 x 16
N_TRAINING = 4000
N_TEST = 2000
N_FRAGMENTS = 4
FRAGMENT = 6  # pixels of a digit's own 8 x 8


def write_cluttered_digits(folder: Path, fragments: int = N_FRAGMENTS, scale: int = SCALE) -> Path:
    """Write 4000 training and 2000 test images, and return their folder.

    An image is one digit at a random place, among fragments of other digits, each in a colour of
    its own, with noise. Digits that train are not in the test images.
    """
    target = folder / "cifar-10-batches-bin"
    target.mkdir(parents=True, exist_ok=True)
    rows = gzip.decompress((files("speckflex") / "data/digits/digits.csv.gz").read_bytes())
    table = np.array([row.split(b",") for row in rows.split()], np.float64)
    digits, labels = table[:, :-1].reshape(-1, 8, 8) / 16, table[:, -1].astype(int)
    half = len(digits) * 2 // 3
    for name, part, count, seed in (
        ("data_batch_1.bin", slice(0, half), N_TRAINING, 0),
        ("test_batch.bin", slice(half, None), N_TEST, 1),
    ):
        rng = np.random.default_rng(seed)
        chosen = rng.integers(0, len(labels[part]), count)
        with (target / name).open("wb") as file:
            for index in chosen:
                image = _image(digits[part], index, fragments, scale, rng)
                file.write(bytes([labels[part][index]]) + image.tobytes())
    return target


def _image(
    digits: np.ndarray, index: int, fragments: int, scale: int, rng: np.random.Generator
) -> np.ndarray:
    """Return (3, 32, 32) uint8: red, green, blue."""
    image = np.zeros((3, SIDE, SIDE))
    for _ in range(fragments):
        other = digits[rng.integers(len(digits))]
        y, x = rng.integers(0, 8 - FRAGMENT + 1, 2)
        _paste(image, other[y : y + FRAGMENT, x : x + FRAGMENT], 0.6, scale, rng)
    _paste(image, digits[index], 1.0, scale, rng)
    noisy = image + rng.normal(0, 0.1, image.shape)
    return (np.clip(noisy, 0, 1) * 255).astype(np.uint8)


def _paste(
    image: np.ndarray, shape: np.ndarray, most: float, scale: int, rng: np.random.Generator
) -> None:
    """Draw an enlarged shape at a random place, in a random colour."""
    large = np.kron(shape, np.ones((scale, scale)))
    height, width = large.shape
    y, x = rng.integers(0, SIDE - height + 1), rng.integers(0, SIDE - width + 1)
    colour = most * rng.uniform(0.4, 1.0, (3, 1, 1))
    place = image[:, y : y + height, x : x + width]
    np.maximum(place, colour * large, out=place)
