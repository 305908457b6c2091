"""Filters of images: blur by a Gaussian, pixels between pixels, and a larger image."""

from __future__ import annotations

import numpy as np

__all__ = ["blurred", "enlarged", "pixels_at"]

REACH = 4.0  # of a Gaussian, in standard deviations
MARGIN = 12  # black pixels around an image; a spline forgets by 0.27 from pixel to pixel


def blurred(images: np.ndarray, radius: float) -> np.ndarray:
    """Return images that a Gaussian spreads along their last two axes.

    Outside an image lies its mirror image.

    Args:
        images: `(..., y, x)` floats.
        radius: standard deviation, pixels; above 0.
    """
    reach = int(REACH * radius + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / radius) ** 2)
    weights /= weights.sum()
    for axis in (-2, -1):
        padding = [(0, 0)] * images.ndim
        padding[axis] = (reach, reach)
        mirrored = np.pad(images, padding, mode="symmetric")
        images = np.lib.stride_tricks.sliding_window_view(mirrored, len(weights), axis) @ weights
    return images


def pixels_at(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the brightness between pixels, by linear interpolation; 0 outside the image.

    Args:
        image: `(y, x)` floats.
        places: `(2, ...)` floats, y and x in pixels.
    """
    last = np.array(image.shape).reshape(2, *[1] * (places.ndim - 1)) - 1
    inside = ((places >= 0) & (places <= last)).all(axis=0)
    first = np.clip(np.floor(places).astype(int), 0, np.maximum(last - 1, 0))
    (y, x), (down, right) = first, places - first
    below, beside = np.minimum(first + 1, last)
    upper = (1 - right) * image[y, x] + right * image[y, beside]
    lower = (1 - right) * image[below, x] + right * image[below, beside]
    return np.where(inside, (1 - down) * upper + down * lower, 0)


def enlarged(images: np.ndarray, side: int) -> np.ndarray:
    """Return square images with more pixels, by cubic splines through the old ones.

    Outside an image all is black. Old and new images cover the same area, so pixels lie in the
    middle of equal parts of it.

    Args:
        images: `(..., n, n)` floats.
        side: number of new pixels in a row.
    """
    old = images.shape[-1]
    knots = old + 2 * MARGIN
    # the spline's values at its knots, from the heights of the bumps that it is a sum of
    values = (4 * np.eye(knots) + np.eye(knots, k=1) + np.eye(knots, k=-1)) / 6
    heights = np.linalg.inv(values)[:, MARGIN:-MARGIN]
    places = (np.arange(side) + 0.5) * old / side - 0.5 + MARGIN
    matrix = _bump(places[:, None] - np.arange(knots)) @ heights
    return matrix @ images @ matrix.T


def _bump(distance: np.ndarray) -> np.ndarray:
    """Return the cubic B-spline at a distance in knots from its middle."""
    far = np.abs(distance)
    near = 2 / 3 - far**2 + far**3 / 2
    return np.where(far < 1, near, np.maximum(2 - far, 0) ** 3 / 6)
