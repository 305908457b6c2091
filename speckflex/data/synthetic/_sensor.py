"""A simulated event sensor: pixels that report changes of log brightness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speckflex.events.streams import make_events
from speckflex.kernels.sense_changes import sense_changes

__all__ = ["EventSensor"]

ROOM = 10_000  # events of one recording; more of them are sensed again


@dataclass(frozen=True)
class EventSensor:
    """Pixels that send an event when their log brightness has changed by a threshold.

    The usual model of an event camera (as in ESIM, Rebecq et al. 2018): between two images the
    log brightness is linear in time, and the times of events are interpolated.

    Attributes:
        threshold: change of log brightness for an event.
        mismatch: relative standard deviation of the threshold over pixels and polarities.
        jitter_us: standard deviation of an event's time, µs.
        noise_hz: events per second and pixel without any change.
        darker_noise: share of them that are "darker", 0.5 to 1.
        refractory_us: time after an event for which its pixel senses nothing, µs.
        darkness: brightness of black, relative to white; it sets the contrast.
    """

    threshold: float = 0.43
    mismatch: float = 0.2
    jitter_us: float = 300.0
    noise_hz: float = 0.2
    darker_noise: float = 0.5
    refractory_us: float = 0.0
    darkness: float = 0.1

    def observe(
        self, frames: np.ndarray, times: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Return the events of a moving image, ordered by time.

        Args:
            frames: `(time, y, x)` brightness from 0 to 1.
            times: `(time,) int64`, µs, ascending.
            rng: draws mismatch, jitter and noise.

        Returns:
            `(n,)` structured; p is 1 for brighter and 0 for darker.
        """
        levels = np.log(frames.reshape(len(frames), -1) + self.darkness)
        spread = rng.normal(1, self.mismatch, (2, levels.shape[1]))
        thresholds = self.threshold * np.maximum(spread, 0.3)
        width = frames.shape[2]
        parts = [
            self._changes(levels, times, thresholds),
            self._noise(levels.shape[1], times, rng),
        ]
        when, pixel, polarity = (np.concatenate(column) for column in zip(*parts, strict=True))
        when = when + rng.normal(0, self.jitter_us, len(when))
        when = np.clip(np.rint(when), times[0], times[-1]).astype(np.int64)
        events = make_events(when, pixel % width, pixel // width, polarity)
        return events[np.argsort(events["t"], kind="stable")]

    def _changes(
        self, levels: np.ndarray, times: np.ndarray, thresholds: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return times, pixels and polarities of the events, those of each step together."""
        by_pixel = np.ascontiguousarray(levels.T)
        found = np.empty((ROOM, 4))
        given = (by_pixel, times.astype(float), thresholds, float(self.refractory_us))
        count = sense_changes(*given, found)
        if count > len(found):
            found = np.empty((count, 4))
            sense_changes(*given, found)
        found = found[:count][np.argsort(found[:count, 0], kind="stable")]
        return found[:, 1], found[:, 2].astype(np.int64), found[:, 3].astype(np.int64)

    def _noise(
        self, n_pixels: int, times: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        duration = float(times[-1] - times[0])
        count = rng.poisson(self.noise_hz * n_pixels * duration / 1e6)
        when = times[0] + rng.uniform(0, duration, count)
        pixel, polarity = rng.integers(0, n_pixels, count), rng.integers(0, 2, count)
        # of both polarities alike, but for a share that is darker
        polarity[: round((2 * self.darker_noise - 1) * count)] = 0
        return when, pixel, polarity
