"""The slow clock: when it ticks, and what a tick does to a core's neurons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speckflex.speck import NEURON_MAX

if TYPE_CHECKING:
    from speckflex.boards.settings import TwinSettings

__all__ = ["leak_into", "ticks_before"]


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
        state: `(y, x, channel) int16`, changed in place.
        bias: `(channel,) int16`.
        threshold_low: the lower bound.
        n_ticks: how many ticks.
    """
    values, step = state.astype(np.int64), bias.astype(np.int64)
    # after one tick every potential is in bounds, and the others may be added up
    for count in (min(n_ticks, 1), max(n_ticks - 1, 0)):
        values = np.clip(values + count * step, threshold_low if count else None, NEURON_MAX)
    state[:] = values
