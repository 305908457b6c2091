"""The FPGA of a virtual devkit: replays input events by the stop watch, answers, ticks."""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from speckflex.chips.speck import DVS_LAYER
from speckflex.virtual.clock import BoardClock, SlowClock, StopWatch
from speckflex.virtual.outbox import Outbox
from speckflex.virtual.requests import Requests
from speckflex.virtual.sensor import Sensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from speckflex.virtual.engine import Engine, Spikes
    from speckflex.virtual.faults import Faults
    from speckflex.virtual.records import Record

__all__ = ["Player"]

# Real seconds between two looks at the queue while events wait for their time: events that
# fall due in between go through the twin together, each with its own time.
PACE = 0.001
# Events that are served before calls from outside get their turn, such as to close.
EVENTS_PER_TURN = 2048
logger = logging.getLogger("speckflex.virtual")


@dataclass
class _Waiting:
    """An event in the queue, of the host or of the sensor; it arrived at a board time in µs."""

    event: Record
    arrived: int
    sensed: bool


class Player:
    """Serves one device in a thread of its own until it is closed or unplugged.

    Args:
        engine: the chip.
        events: the chip's event classes by name.
        send: called with each list of output events.
        speed: board seconds per real second.
        faults: what is to go wrong.

    Attributes:
        lock: held while the chip works; reentrant, so that callers may hold it around calls.
    """

    def __init__(
        self,
        engine: Engine,
        events: dict[str, type[Record]],
        send: Callable[[list[Record]], None],
        *,
        speed: float,
        faults: Faults,
    ) -> None:
        self.lock = threading.RLock()
        self._changed = threading.Condition(self.lock)
        self.clock = BoardClock(speed)
        self.stop_watch = StopWatch(self.clock, self.wake)
        self.slow_clock = SlowClock(self.clock, self.wake)
        self.outbox = Outbox(send, faults)
        self._engine, self._classes, self._faults = engine, events, faults
        self._queue: deque[_Waiting] = deque()
        self._served, self._last = 0, 0
        self.unplugged = self.closed = False
        self._sensor = Sensor()
        self._requests = Requests(engine, self._sensor, events)
        self._thread = threading.Thread(target=self._run, name="virtual devkit", daemon=True)
        self._thread.start()

    def write(self, events: Sequence[Record]) -> None:
        """Put events into the FPGA's queue."""
        self._enqueue(events, sensed=False)

    def sense(self, events: Sequence[Record]) -> None:
        """Let the sensor see events; they wait for their time like those that are written."""
        self._enqueue(events, sensed=True)

    def wake(self) -> None:
        """Look at the clocks and the queue again."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """End the thread; what is still in the queue is dropped."""
        with self._changed:
            self.closed = True
            self._queue.clear()
            self._changed.notify_all()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _enqueue(self, events: Sequence[Record], *, sensed: bool) -> None:
        with self._changed:
            now = self.clock.now()
            self._queue.extend(_Waiting(event, now, sensed) for event in events)
            self._changed.notify_all()

    def _run(self) -> None:
        with self._changed:
            while not (self.closed or self.unplugged):
                try:
                    self._serve()
                except Exception:
                    # the thread must outlive a faulty event, or the script would wait for ever
                    logger.exception("the virtual devkit failed to serve events; they are lost")
                self.outbox.flush()
                if not (self.closed or self.unplugged):
                    self._changed.wait(self._pause())

    def _pause(self) -> float | None:
        """Return the real seconds until something is due; None to wait for a change."""
        moments = [self.outbox.seconds_until_next()]
        if self._queue:
            moments.append(self.clock.seconds_until(self._due(self._queue[0])))
        if not (math.isinf(self.slow_clock.next_tick) or math.isinf(self.clock.speed)):
            moments.append(self.clock.seconds_until(self.slow_clock.next_tick))
        pause = min(moments)
        return None if math.isinf(pause) else max(PACE, pause)

    def _serve(self) -> None:
        """Serve all events and ticks that are due, in the order of their times."""
        due = self._take_due(self.clock.horizon())
        end = due[-1][0] if due else 0
        self.clock.advance(end)
        horizon = max(end, self.clock.now())
        position = 0
        while position < len(due) or self.slow_clock.next_tick <= horizon:
            tick = self.slow_clock.next_tick
            stop = position
            while stop < len(due) and due[stop][0] < tick:
                stop += 1
            self._play(due[position:stop])
            position = stop
            if tick <= horizon:
                self._tick()
            if self.unplugged:
                return

    def _due(self, waiting: _Waiting) -> int:
        """Return the board time at which an event leaves, µs."""
        timestamp = getattr(waiting.event, "timestamp", None)
        moment = 0 if timestamp is None else self.stop_watch.due(timestamp)
        return max(moment, waiting.arrived, self._last)

    def _take_due(self, horizon: float) -> list[tuple[int, Record]]:
        due = []
        while self._queue and len(due) < EVENTS_PER_TURN:
            moment = self._due(self._queue[0])
            if moment > horizon:
                break
            self._last = moment
            waiting = self._queue.popleft()
            if not waiting.sensed or self._passes(waiting.event):
                due.append((moment, waiting.event))
        return due

    def _passes(self, event: Record) -> bool:
        """Return whether what the sensor sees gets into the chip."""
        dvs = self._engine.configuration.dvs_layer
        return dvs.pass_sensor_events and self._sensor.sees(event)

    def _play(self, due: list[tuple[int, Record]]) -> None:
        limit = self._faults.unplug_after
        if limit is not None and self._served + len(due) >= limit:
            due = due[: limit - self._served]
            self.unplugged = True
        self._served += len(due)
        for key, group in groupby(due, key=lambda item: _kind(item[1])):
            part = list(group)
            self._play_alike(key, part)

    def _play_alike(self, key: tuple[type, int], due: list[tuple[int, Record]]) -> None:
        """Serve consecutive events of one kind for one layer."""
        kind, layer = key
        events = [event for _, event in due]
        if self._requests.serves(kind):
            self.outbox.put(self._requests.answer(events))
        elif kind in {self._classes["Spike"], self._classes["DvsEvent"]}:
            times = np.array([self.stop_watch.reading(moment) for moment, _ in due])
            feature = "p" if kind is self._classes["DvsEvent"] else "feature"
            columns = [_column(events, name) for name in (feature, "y", "x")]
            raw = self._raw(events, times) if layer == DVS_LAYER else []
            spikes = self._engine.play(layer, *columns)
            self.outbox.put(raw + self._spikes(spikes, times))

    def _raw(self, events: list[Record], times: np.ndarray) -> list[Record]:
        """Return sensor events as the raw monitor shows them."""
        if not self._engine.shows_raw_events:
            return []
        kind = self._classes["DvsEvent"]
        return [
            kind.trusted({**event.stored_values, "timestamp": int(moment)})
            for event, moment in zip(events, times, strict=True)
        ]

    def _spikes(self, spikes: Spikes, times: np.ndarray) -> list[Record]:
        kind = self._classes["Spike"]
        columns = (spikes.feature, spikes.layer, times[spikes.cause], spikes.x, spikes.y)
        names = ("feature", "layer", "timestamp", "x", "y")
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [kind.trusted(dict(zip(names, row, strict=True))) for row in rows]

    def _tick(self) -> None:
        """Let the slow clock tick: leak, then the readout layer closes its cycle."""
        moment = self.slow_clock.tick()
        self.clock.advance(moment)
        value, pins = self._engine.tick()
        answers = [] if value is None else [self._classes["ReadoutValue"](value=value)]
        timestamp = self.stop_watch.reading(moment)
        pin = self._classes["ReadoutPinValue"]
        self.outbox.put(answers + [pin(index=index, timestamp=timestamp) for index in pins])


def _kind(event: Record) -> tuple[type, int]:
    return type(event), getattr(event, "layer", DVS_LAYER)


def _column(events: list[Record], name: str) -> np.ndarray:
    return np.fromiter((event.stored_values[name] for event in events), np.int64, len(events))
