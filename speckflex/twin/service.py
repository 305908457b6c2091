"""How long a core takes for its events, who waits and who is turned away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from speckflex.kernels.serve import serve

if TYPE_CHECKING:
    from speckflex.boards.settings import TwinSettings
    from speckflex.program import Core

__all__ = ["CoreLoad", "Service"]

MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class CoreLoad:
    """How busy one core was during one sample, under a stated rate of work.

    Args:
        name: the layer's name.
        events: events that arrived.
        dropped: of these, turned away by the congestion balancer.
        busy: µs of work.
        span: µs from the first arrival to the end of the work.
        longest_wait: µs that an event waited before the core took it.
        backlog: µs of work left when the last event arrived.
    """

    name: str
    events: int
    dropped: int
    busy: float
    span: float
    longest_wait: float
    backlog: float


class Service:
    """One core as a server, at `settings.synops_per_second`.

    The time that the model adds up: an event takes the number of neurons it updates, divided
    by the rate; a spike leaves when its event is done. The way between cores takes no time,
    and a full core does not hold up the ones before it. None of this was measured on a chip.
    """

    def __init__(self, core: Core, n_updates: np.ndarray, settings: TwinSettings) -> None:
        rate = settings.synops_per_second or np.inf
        self.name = core.name
        self.drops = core.congestion_balancer
        self._durations = n_updates * (MICROSECONDS / rate)
        # one event in work beside those that wait
        self._ring = np.zeros(settings.balancer_buffer + 1)
        self.reset()

    def reset(self) -> None:
        """Begin a sample: nothing waits."""
        self._ring[:] = 0
        self._clock = np.zeros(4)
        self._first = self._last = np.nan
        self._dropped = self._arrived = 0

    def serve(self, codes: np.ndarray, arrivals: np.ndarray) -> np.ndarray:
        """Return when the core is done with each event; NaN for events turned away.

        Args:
            codes: `(n,) int32`, rows of the core's routes.
            arrivals: `(n,) float64`, µs.
        """
        finishes = np.empty(len(codes))
        if len(codes):
            serve(arrivals, self._durations[codes], self._ring, self._clock, finishes, self.drops)
            self._first = arrivals[0] if np.isnan(self._first) else self._first
            self._last = arrivals[-1]
            self._arrived += len(codes)
            self._dropped += int(np.isnan(finishes).sum())
        return finishes

    def load(self) -> CoreLoad:
        """Return what the core did since the sample began."""
        done, _, busy, longest_wait = (float(value) for value in self._clock)
        idle = not self._arrived
        return CoreLoad(
            name=self.name,
            events=self._arrived,
            dropped=self._dropped,
            busy=busy,
            span=0.0 if idle else max(done, self._last) - self._first,
            longest_wait=longest_wait,
            backlog=0.0 if idle else max(0.0, done - self._last),
        )
