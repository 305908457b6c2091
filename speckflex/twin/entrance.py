"""How the events of one sample come in: their addresses, the slow clock, the filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from speckflex.twin.event_filter import RunningFilter
from speckflex.twin.routing import addresses_of
from speckflex.twin.slow_clock import ticks_before

if TYPE_CHECKING:
    from speckflex.twin.machine import MachineModel

__all__ = ["Entrance", "Entry"]


@dataclass(frozen=True, eq=False)
class Entry:
    """Events of one sample that passed the filter, parted by the ticks between them.

    Args:
        codes: `(n,) int32`, addresses in the input's map.
        times: `(n,) int64`, µs.
        ticks: `(parts,) int64`, how often the slow clock has ticked before each part.
        ends: `(parts,) int64`, where each part ends.
    """

    codes: np.ndarray
    times: np.ndarray
    ticks: np.ndarray
    ends: np.ndarray


class Entrance:
    """Lets the events of one sample in.

    Attributes:
        n_events: how many came so far, those that the filter held back too.

    Args:
        model: of the program.
    """

    def __init__(self, model: MachineModel) -> None:
        self._model = model
        self.n_events = self._n_ticks = self._latest = 0
        rule = model.program.input.event_filter
        self._filter = None if rule is None else RunningFilter(rule, model.entered)

    def admit(self, events: np.ndarray) -> Entry:
        """Return the sample's next events, `(n,)`, as the cores get them."""
        codes = addresses_of(events, self._model.program.input.shape)
        ticks = self._ticks(events["t"])
        passing = np.ones(len(events), bool)
        if self._filter is not None:
            passing = self._filter.passing(codes, ticks)
        bounds = np.flatnonzero(np.diff(ticks)) + 1 if self._model.leaks else np.zeros(0, int)
        ends = np.append(bounds, len(events))
        self._n_ticks = int(ticks[-1]) if len(events) else self._n_ticks
        return Entry(
            codes[passing],
            events["t"][passing],
            ticks[ends - 1] if len(events) else np.array([self._n_ticks]),
            np.append(0, np.cumsum(passing))[ends],
        )

    def _ticks(self, times: np.ndarray) -> np.ndarray:
        """Return how often the slow clock has ticked before each event."""
        # the board replays an event that is late at once
        moments = np.maximum.accumulate(np.maximum(times, self._latest))
        first, self.n_events = self.n_events, self.n_events + len(times)
        self._latest = int(moments[-1]) if len(moments) else self._latest
        return ticks_before(self._model.settings, moments, first)
