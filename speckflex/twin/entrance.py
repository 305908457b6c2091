"""How the events of one sample come in: their addresses, the slow clock, the filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from speckflex.twin.event_filter import RunningFilter
from speckflex.twin.routing import addresses_of
from speckflex.twin.slow_clock import RunningClock

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

    Args:
        model: of the program.
    """

    def __init__(self, model: MachineModel) -> None:
        self._model = model
        self._n_ticks, self._clock = 0, RunningClock(model.settings)
        rule = model.program.input.event_filter
        self._filter = None if rule is None else RunningFilter(rule, model.entered)

    @property
    def n_events(self) -> int:
        """How many came so far, those that the filter held back too."""
        return self._clock.n_events

    def admit(self, events: np.ndarray) -> Entry:
        """Return the sample's next events, `(n,)`, as the cores get them."""
        codes = addresses_of(events, self._model.program.input.shape)
        _, ticks = self._clock.follow(events["t"])
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
