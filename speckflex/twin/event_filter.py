"""The noise filter behind the input stage: its state between blocks of events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speckflex.kernels.filter_events import FILTER, filter_events

if TYPE_CHECKING:
    from speckflex.program.event_filter import EventFilter
    from speckflex.program.routing import Places

__all__ = ["RunningFilter"]

NEVER = -(2**62)


class RunningFilter:
    """Keeps the latest event of every pixel, whatever its polarity."""

    def __init__(self, rule: EventFilter, places: Places) -> None:
        self._places = places
        low_pass = rule.mode == "low pass"
        counts_own = rule.mode != "noise and hot pixels"
        self._rule = np.array([(*rule.size, rule.window, counts_own, low_pass)], FILTER)
        kept = places.kept
        height, width = places.rows[kept].max(initial=0), places.columns[kept].max(initial=0)
        self._latest = np.full((height + 1, width + 1), NEVER, np.int64)

    def reset(self) -> None:
        """Forget all events."""
        self._latest[:] = NEVER

    def passing(self, addresses: np.ndarray, ticks: np.ndarray) -> np.ndarray:
        """Return which events pass; what the input stage drops is not seen by the filter.

        Args:
            addresses: `(n,) int32`, of the input.
            ticks: `(n,) int64`, the slow clock at each event.
        """
        places, passing = self._places, self._places.kept[addresses]
        seen = addresses[passing]
        kept = np.empty(len(seen), bool)
        filter_events(
            places.rows[seen], places.columns[seen], ticks[passing], self._latest, self._rule, kept
        )
        passing[passing] = kept
        return passing
