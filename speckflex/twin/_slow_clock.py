"""The slow clock: when it ticks, and what a tick does to a core's neurons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speckflex.chips.formats import NEURON_MAX

if TYPE_CHECKING:
    from speckflex.twin.settings import TwinSettings

__all__ = ["RunningClock", "leak_into", "ticks_before"]


class RunningClock:
    """Follows one sample: when its events are replayed, and what the slow clock shows then.

    Attributes:
        n_events: how many came so far.

    Args:
        settings: the twin's.
    """

    def __init__(self, settings: TwinSettings) -> None:
        self._settings = settings
        self.reset()

    def reset(self) -> None:
        """Begin a sample."""
        self.n_events = self._latest = 0

    def pass_by(self, n_events: int) -> None:
        """Count the sample's next events where their times of replay are not needed."""
        self.n_events += n_events

    def follow(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return when the sample's next events are replayed, and the ticks before each.

        Args:
            times: `(n,) int64`, µs.

        Returns:
            `(n,) int64`, µs, ascending, and `(n,) int64`, ascending.
        """
        # the board replays an event that is late at once
        moments = np.maximum.accumulate(np.maximum(times, self._latest))
        ticks = ticks_before(self._settings, moments, self.n_events)
        self.n_events += len(times)
        self._latest = int(moments[-1]) if len(moments) else self._latest
        return moments, ticks


def ticks_before(settings: TwinSettings, times: np.ndarray, n_earlier: int) -> np.ndarray:
    """Return how often the slow clock has ticked when each event arrives.

    The clock starts with the sample. A tick at the time of an event comes before the event.

    Args:
        settings: the clock's period and phase, or its divider.
        times: `(n,) int64`, µs, ascending.
        n_earlier: how many events of the sample came before these.

    Returns:
        `(n,) int64`, ascending.
    """
    if settings.slow_clock_period is not None:
        elapsed = (times - settings.slow_clock_phase) // settings.slow_clock_period
        return np.maximum(elapsed, 0)
    if settings.slow_clock_divider is not None:
        return np.arange(n_earlier, n_earlier + len(times)) >> settings.slow_clock_divider
    return np.zeros(len(times), np.int64)


def leak_into(state: np.ndarray, bias: np.ndarray, threshold_low: int, n_ticks: int) -> None:
    """Add a core's bias to its neurons, once a tick, bounded below (DS 3.2.4.7).

    Args:
        state: `(..., channel) int16`, changed in place.
        bias: `(channel,) int16`.
        threshold_low: the lower bound.
        n_ticks: how many ticks.
    """
    values, step = state.astype(np.int64), bias.astype(np.int64)
    # after one tick every potential is in bounds, and the others may be added up
    for count in (min(n_ticks, 1), max(n_ticks - 1, 0)):
        values = np.clip(values + count * step, threshold_low if count else None, NEURON_MAX)
    state[:] = values
