"""Augmentation of event streams: mirror and roll."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speckflex.data.formats.dvs_gesture import MIRRORED, SHAPE

if TYPE_CHECKING:
    import numpy as np

__all__ = ["augment_gesture", "mirror", "roll"]


def mirror(events: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Return the events with left and right exchanged."""
    mirrored = events.copy()
    mirrored["x"] = shape[2] - 1 - events["x"]
    return mirrored


def roll(events: np.ndarray, shape: tuple[int, int, int], offset: tuple[int, int]) -> np.ndarray:
    """Return the events moved by a (y, x) offset, around the edges of the sensor."""
    rolled = events.copy()
    rolled["y"] = (events["y"] + offset[0]) % shape[1]
    rolled["x"] = (events["x"] + offset[1]) % shape[2]
    return rolled


def augment_gesture(
    events: np.ndarray, label: int, rng: np.random.Generator, *, max_roll: int = 20
) -> tuple[np.ndarray, int]:
    """Return a DVS-Gesture recording, rolled and with probability 1/2 mirrored, and its label.

    The augmentation of the MTT paper (arXiv 2503.17394): horizontal flip, roll by up to 20
    pixels. A mirror makes a wave of the right hand one of the left, so the label changes too.

    Args:
        events: `(n,)` inside (2, 128, 128).
        label: 0..10, or -1 where unknown.
        rng: draws mirror and roll.
        max_roll: the largest roll of each axis in either direction, pixels.
    """
    if rng.random() < 0.5:
        events = mirror(events, SHAPE)
        label = MIRRORED[label] if label >= 0 else label
    dy, dx = rng.integers(-max_roll, max_roll + 1, 2).tolist()
    return roll(events, SHAPE, (dy, dx)), label
