"""How the events of one sample come in: their addresses, the slow clock, the filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from speckflex.program.routing import addresses_of
from speckflex.twin._queues import Queue
from speckflex.twin._slow_clock import RunningClock
from speckflex.twin.event_filter import RunningFilter

if TYPE_CHECKING:
    from speckflex.twin.graph import Graph

__all__ = ["Entrance", "Entry"]


@dataclass(frozen=True, eq=False)
class Entry:
    """Events of one sample that passed the filter, divided at the ticks that matter to a core.

    Args:
        queue: the events; their codes are addresses in the input's map.
        ticks: `(parts,) int64`, how often the slow clock has ticked before each part.
        moments: `(parts,) int64`, µs, when each part begins; any value if no clock ticks.
        ends: `(parts,) int64`, where each part ends.
    """

    queue: Queue
    ticks: np.ndarray
    moments: np.ndarray
    ends: np.ndarray


class Entrance:
    """Lets the events of one sample in.

    Args:
        graph: of the program.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._clock, self._n_ticks = RunningClock(graph.settings), 0
        rule = graph.program.input.event_filter
        self._filter = None if rule is None else RunningFilter(rule, graph.entered)

    @property
    def n_events(self) -> int:
        """How many came so far, including those that the filter dropped."""
        return self._clock.n_events

    def begin_sample(self) -> None:
        """Begin a sample, and the clock with it."""
        self._clock.reset()
        self._n_ticks = 0
        if self._filter is not None:
            # it counts ticks
            self._filter.reset()

    def admit(self, events: np.ndarray, *, with_times: bool = True) -> Entry:
        """Return the sample's next events, `(n,)`, as the cores get them."""
        settings = self._graph.settings
        queue = Queue(
            addresses_of(events, self._graph.program.input.shape),
            events["t"].astype(np.int64) if with_times else None,
        )
        if not (settings.has_slow_clock or settings.is_timed):
            self._clock.pass_by(len(events))
            start = np.zeros(1, np.int64)
            return Entry(queue, start, start, np.array([len(events)]))
        moments, ticks = self._clock.follow(events["t"])
        if settings.is_timed:
            queue = Queue(queue.codes, queue.times, moments.astype(np.float64))
        return self._divided(queue, moments, ticks)

    def _divided(self, queue: Queue, moments: np.ndarray, ticks: np.ndarray) -> Entry:
        """Divide events at the ticks between them, and leave out those that the filter drops.

        Args:
            queue: the events.
            moments: `(n,) int64`, µs, when each is replayed.
            ticks: `(n,) int64`, how often the slow clock has ticked before each.
        """
        if not len(queue):
            return Entry(queue, np.array([self._n_ticks]), np.zeros(1, np.int64), np.array([0]))
        self._n_ticks = int(ticks[-1])
        bounds = np.empty(0, np.int64)
        if self._graph.leaks or self._graph.settings.overtakes:
            # no event overtakes a tick
            bounds = np.flatnonzero(np.diff(ticks)) + 1
        begins, ends = np.append(0, bounds), np.append(bounds, len(queue))
        if self._filter is not None:
            passing = self._filter.passing(queue.codes, ticks)
            queue, n_passing = queue.take(passing), np.append(0, np.cumsum(passing))
            return Entry(queue, ticks[begins], moments[begins], n_passing[ends])
        return Entry(queue, ticks[begins], moments[begins], ends)
