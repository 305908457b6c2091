"""Images moved in N-MNIST's three saccades in front of a simulated event sensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speckflex.data.formats.nmnist import SHAPE
from speckflex.data.synthetic._sensor import EventSensor

__all__ = ["VERSION", "Saccades", "Stroke", "simulate_saccades"]

Stroke = tuple[tuple[float, float], tuple[float, float]]

VERSION = 2  # of the simulation: raise it when the recordings change
PIXELS = SHAPE[1]


@dataclass(frozen=True)
class Saccades:
    """How the image moves: three strokes around a triangle, as N-MNIST's camera moved.

    Corners, pauses and speed are fitted to the mean position of the events of real recordings
    in slices of 15 ms. Within a stroke the speed is a raised cosine, which fits their rates.

    Attributes:
        stroke_us: duration of one stroke, µs.
        rest_us: time from the start of a stroke until the image moves, µs.
        moving_us: time for which the image then moves, µs.
        step_us: time between two simulated images, µs.
        strokes: the (y, x) offsets in pixels at which each stroke begins and ends.
        shift: largest random offset of the whole image, pixels.
    """

    stroke_us: int = 104_000
    rest_us: int = 5_000
    moving_us: int = 82_000
    step_us: int = 2_000
    strokes: tuple[Stroke, ...] = (
        ((-1.6, -3.1), (3.6, 0.0)),
        ((3.6, 0.0), (-1.6, 3.1)),
        ((-1.6, 3.1), (-1.6, -3.1)),
    )
    shift: float = 1.0

    def path(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the times `(n,) int64` in µs and the (y, x) offsets `(n, 2)` in pixels."""
        times = np.arange(0, len(self.strokes) * self.stroke_us + 1, self.step_us)
        starts, ends = np.array(self.strokes).transpose(1, 0, 2)
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
    """Return the events that a sensor of 34 x 34 pixels sends while a bright image moves.

    Args:
        image: `(y, x)` brightness from 0 (the ground) to 1, at most 34 pixels a side.
        rng: draws the position and the sensor's noise.
        saccades: the movement, by default that of N-MNIST's camera.
        sensor: by default one that is fitted to N-MNIST's.

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
    """Return matrices `(n, 34, size)` that shift a centred axis by offsets, by interpolation."""
    positions = np.arange(PIXELS) - (PIXELS - size) / 2 - offsets[:, None]
    return np.maximum(0, 1 - np.abs(positions[:, :, None] - np.arange(size)))
