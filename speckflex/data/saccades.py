"""Images moved in N-MNIST's three saccades before a simulated event sensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speckflex.data.nmnist import SHAPE
from speckflex.data.sensor import EventSensor

__all__ = ["Saccades", "simulate_saccades"]

PIXELS = SHAPE[1]


@dataclass(frozen=True)
class Saccades:
    """How the image moves: three strokes around a triangle, as N-MNIST's camera did.

    Corners, pauses and speed are fitted to the mean place of the events of real recordings in
    slices of 15 ms; within a stroke the speed is a raised cosine, as their rates suggest.

    Attributes:
        stroke_us: time of one stroke, µs.
        rest_us: how much of it passes before the image moves, µs.
        moving_us: how much of it the image moves, µs.
        step_us: time between two simulated images, µs.
        corners: the (y, x) offsets in pixels at which the strokes begin.
        shift: largest random offset of the whole image, pixels.
    """

    stroke_us: int = 104_000
    rest_us: int = 5_000
    moving_us: int = 82_000
    step_us: int = 2_000
    corners: tuple[tuple[float, float], ...] = ((-1.6, -3.1), (3.6, 0.0), (-1.6, 3.1))
    shift: float = 1.0

    def path(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the times `(n,) int64` in µs and the (y, x) offsets `(n, 2)` in pixels."""
        times = np.arange(0, len(self.corners) * self.stroke_us + 1, self.step_us)
        starts = np.array(self.corners)
        ends = np.roll(starts, -1, axis=0)
        stroke = np.minimum(times // self.stroke_us, len(starts) - 1)
        elapsed = (times - stroke * self.stroke_us - self.rest_us) / self.moving_us
        done = 0.5 - 0.5 * np.cos(np.pi * np.clip(elapsed, 0, 1))
        return times, starts[stroke] + done[:, None] * (ends - starts)[stroke]


def simulate_saccades(
    image: np.ndarray,
    rng: np.random.Generator,
    *,
    saccades: Saccades | None = None,
    sensor: EventSensor | None = None,
) -> np.ndarray:
    """Return what an event sensor of 34 x 34 pixels sees of a bright image on a dark ground.

    Args:
        image: `(y, x)` brightness from 0 to 1, at most 34 pixels a side.
        rng: draws the position and the sensor's noise.
        saccades: the movement.
        sensor: the sensor.

    Returns:
        `(n,)` events inside (2, 34, 34) over about 312 ms, ordered by time. As in real
        recordings the leading edge of a stroke has p = 0 and the trailing edge p = 1.
    """
    saccades = saccades or Saccades()
    times, offsets = saccades.path()
    offsets = offsets + rng.uniform(-saccades.shift, saccades.shift, 2)
    rows = _placement(len(image), offsets[:, 0])
    columns = _placement(image.shape[1], offsets[:, 1])
    frames = rows @ image @ columns.transpose(0, 2, 1)
    events = (sensor or EventSensor()).observe(frames, times, rng)
    events["p"] = 1 - events["p"]
    return events


def _placement(size: int, offsets: np.ndarray) -> np.ndarray:
    """Return the matrices `(n, 34, size)` that put a centred axis at offsets, interpolating."""
    positions = np.arange(PIXELS) - (PIXELS - size) / 2 - offsets[:, None]
    return np.maximum(0, 1 - np.abs(positions[:, :, None] - np.arange(size)))
