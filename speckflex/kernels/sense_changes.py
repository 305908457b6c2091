"""The events of pixels whose brightness changes."""

import numpy as np
from numba import njit

__all__ = ["sense_changes"]


@njit(cache=True, nogil=True)
def sense_changes(
    levels: np.ndarray,
    times: np.ndarray,
    thresholds: np.ndarray,
    refractory: float,
    found: np.ndarray,
) -> int:
    """Return how many events the pixels send, and write as many as there is room for.

    A pixel sends an event when its level, linear between two times, is a threshold away from its
    reference, which is the level at its start and then that of its last event. For `refractory`
    µs after an event it senses nothing; its reference is then the level at the end of that time.

    Args:
        levels: `(pixel, time) float64`, log brightness.
        times: `(time,) float64`, µs, ascending.
        thresholds: `(2, pixel) float64` above 0, for darker and for brighter.
        refractory: µs, 0 or more.
        found: `(room, 4) float64`, filled with step, µs, pixel and polarity (1 for brighter),
            ordered by pixel, then time.
    """
    count = 0
    for pixel in range(levels.shape[0]):
        reference, waits = levels[pixel, 0], times[0]
        for step in range(1, times.size):
            start, end = times[step - 1], times[step]
            level = levels[pixel, step - 1]
            slope = (levels[pixel, step] - level) / (end - start)
            while waits < end:
                if waits >= start:
                    reference = level + slope * (waits - start)
                away = levels[pixel, step] - reference
                brighter = 1 if away > 0.0 else 0
                threshold = thresholds[brighter, pixel]
                if abs(away) < threshold:
                    break
                crossed = reference + (threshold if brighter else -threshold)
                sensed = min(max(start + (crossed - level) / slope, start), end)
                if count < found.shape[0]:
                    found[count, 0], found[count, 1] = step, sensed
                    found[count, 2], found[count, 3] = pixel, brighter
                count += 1
                waits = sensed + refractory
    return count
