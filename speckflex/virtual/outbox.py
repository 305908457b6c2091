"""What leaves a virtual devkit: in time or late, whole or with losses."""

from __future__ import annotations

import math
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from speckflex.virtual.faults import Faults

__all__ = ["Outbox"]


class Outbox:
    """Holds output events until they may leave.

    Args:
        send: called with each list of events.
        faults: by how much they are late, and which shares are lost or doubled.

    Attributes:
        dropped: how many events were lost on purpose.
        duplicated: how many were doubled on purpose.
    """

    def __init__(self, send: Callable[[list[Any]], None], faults: Faults) -> None:
        self._send, self._faults = send, faults
        self._random = np.random.default_rng(faults.seed)
        self._waiting: deque[tuple[float, list[Any]]] = deque()
        self.dropped = self.duplicated = 0

    def put(self, events: list[Any]) -> None:
        """Take events that are on their way out."""
        if self._faults.drop or self._faults.duplicate:
            events = self._disturb(events)
        if events:
            self._waiting.append((time.monotonic() + self._faults.delay, events))

    def flush(self) -> None:
        """Send what may leave by now."""
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            self._send(self._waiting.popleft()[1])

    def seconds_until_next(self) -> float:
        """Return the real seconds until something may leave; infinity where nothing waits."""
        return max(0.0, self._waiting[0][0] - time.monotonic()) if self._waiting else math.inf

    def _disturb(self, events: list[Any]) -> list[Any]:
        lost = self._random.random(len(events)) < self._faults.drop
        doubled = ~lost & (self._random.random(len(events)) < self._faults.duplicate)
        self.dropped += int(lost.sum())
        self.duplicated += int(doubled.sum())
        copies = np.where(lost, 0, np.where(doubled, 2, 1))
        return [event for event, n in zip(events, copies, strict=True) for _ in range(n)]
