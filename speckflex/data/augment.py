"""Light augmentation of event streams: a mirror and a roll."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speckflex.data.gestures import MIRRORED, SHAPE

if TYPE_CHECKING:
    import numpy as np

__all__ = ["augment_gesture", "mirror", "roll"]


def mirror(events: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Return the events with left and right exchanged."""
    mirrored = events.copy()
    mirrored["x"] = shape[2] - 1 - events["x"]
    return mirrored


def roll(events: np.ndarray, shape: tuple[int, int, int], offset: tuple[int, int]) -> np.ndarray:
    """Return the events moved by a (y, x) offset; what leaves on one side enters on the other."""
    rolled = events.copy()
    rolled["y"] = (events["y"] + offset[0]) % shape[1]
    rolled["x"] = (events["x"] + offset[1]) % shape[2]
    return rolled


def augment_gesture(
    events: np.ndarray, label: int, rng: np.random.Generator, *, max_roll: int = 20
) -> tuple[np.ndarray, int]:
    """Return a DVS-Gesture recording mirrored half of the time and rolled, and its label.

    The augmentation of the MTT paper (arXiv 2503.17394): horizontal flip, roll up to 20 pixels.
    A mirror makes the right hand's wave one of the left hand, so the label follows.

    Args:
        events: `(n,)` inside (2, 128, 128).
        label: 0..10, or -1 where unknown.
        rng: draws both.
        max_roll: pixels, up to which both axes are rolled, either way.
    """
    if rng.random() < 0.5:
        events = mirror(events, SHAPE)
        label = MIRRORED[label] if label >= 0 else label
    dy, dx = rng.integers(-max_roll, max_roll + 1, 2).tolist()
    return roll(events, SHAPE, (dy, dx)), label
