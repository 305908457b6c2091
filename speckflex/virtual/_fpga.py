"""The FPGA of a virtual devkit: it queues input events by the stop watch and sends the output."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from dataclasses import dataclass
from itertools import count, groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex.virtual._clock import BoardClock, SlowClock, StopWatch
from speckflex.virtual._configuration import SPECK
from speckflex.virtual._events import REFUSED_EVENTS
from speckflex.virtual._graph import await_carried
from speckflex.virtual._requests import Requests

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from speckflex.virtual._chip import Spikes, VirtualChip
    from speckflex.virtual._options import DevkitOptions, Faults
    from speckflex.virtual._records import Record

__all__ = ["Fpga", "Outbox"]

# Real seconds between two looks at the queue while events wait for their time. Events that
# fall due in between go through the twin together, each with its own time.
PACE = 0.001
# The lock is released, and the output sent, after this many events, so that calls such as `close`
# need not wait; after fewer where each event causes many spikes.
EVENTS_PER_TURN, FIRST_TURN = 2048, 1
SPIKES_PER_TURN = 20_000
REFUSED_NAMES = {kind.__name__ for kind in REFUSED_EVENTS}
logger = logging.getLogger("speckflex.virtual")


class Outbox:
    """Holds output events until they may leave.

    Args:
        send: called with each list of events.
        faults: how late the events are, and which shares of them are lost or doubled.

    Attributes:
        dropped: how many events were lost as a fault.
        duplicated: how many events were doubled as a fault.
    """

    def __init__(self, send: Callable[[list[Any]], None], faults: Faults) -> None:
        self._send, self._faults = send, faults
        self._random = np.random.default_rng(faults.seed)
        self._waiting: deque[tuple[float, list[Any]]] = deque()
        self.dropped = self.duplicated = 0

    def put(self, events: list[Any]) -> None:
        """Take output events; some are lost or doubled, as the faults say."""
        if self._faults.drop or self._faults.duplicate:
            lost = self._random.random(len(events)) < self._faults.drop
            doubled = ~lost & (self._random.random(len(events)) < self._faults.duplicate)
            self.dropped += int(lost.sum())
            self.duplicated += int(doubled.sum())
            copies = np.where(lost, 0, np.where(doubled, 2, 1))
            events = [event for event, n in zip(events, copies, strict=True) for _ in range(n)]
        if events:
            self._waiting.append((time.monotonic() + self._faults.delay, events))

    def flush(self) -> None:
        """Send what may leave by now."""
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            self._send(self._waiting.popleft()[1])

    def seconds_until_next(self) -> float:
        """Return the real seconds until something may leave; infinity if nothing waits."""
        return max(0.0, self._waiting[0][0] - time.monotonic()) if self._waiting else math.inf


@dataclass
class _Waiting:
    """An event in a queue, from the host or the sensor; it arrived at a board time in µs."""

    event: Record
    arrived: int
    sensed: bool
    number: int


class Fpga:
    """Serves one chip in a thread of its own until the devkit is closed or unplugged.

    Input events leave in the order in which they were written. The stop watch may hold one back,
    and with it all that were written after it, requests without a timestamp among them.

    Args:
        chip: takes the events.
        events: the chip's event classes by name.
        send: called with each list of output events.
        options: the speed and the faults.

    Attributes:
        lock: held while the chip works; reentrant, so that callers may hold it around calls.
        clock: the board's time.
        stop_watch: decides when input events leave, and stamps output events.
        slow_clock: drives leak, readout and event filter.
        outbox: the output on its way.
        unplugged: whether the device has been unplugged as a fault.
        closed: whether `close` was called.
    """

    def __init__(
        self,
        chip: VirtualChip,
        events: dict[str, type[Record]],
        send: Callable[[list[Record]], None],
        options: DevkitOptions,
    ) -> None:
        self.lock = threading.RLock()
        self._changed = threading.Condition(self.lock)
        self.clock = BoardClock(options.speed)
        self.stop_watch = StopWatch(self.clock, self._wake, self._catch_up)
        self.slow_clock = SlowClock(self.clock, self._wake)
        self.outbox = Outbox(send, options.faults)
        self._chip, self._classes, self._faults = chip, events, options.faults
        # what the sensor sees does not wait behind what the host has written
        self._from_host: deque[_Waiting] = deque()
        self._from_sensor: deque[_Waiting] = deque()
        self._drops_requests = options.unverified.reads_while_running == "dropped"
        self._served, self._last = 0, 0
        self._turn, self._sent = FIRST_TURN, 0
        self._numbers = count()
        self.unplugged = self.closed = False
        self._requests = Requests(chip, events)
        self._thread = threading.Thread(target=self._run, name="virtual devkit", daemon=True)
        self._thread.start()

    def write(self, events: Sequence[Record], *, sensed: bool = False) -> None:
        """Put events into the queue, in which they wait for their time.

        Args:
            events: of the chip's event classes.
            sensed: they come from the sensor, not from the host.
        """
        for event in events:
            if type(event).__name__ in REFUSED_NAMES:
                logger.error("%r is refused: the virtual devkit has nothing that answers it", event)
        events = [event for event in events if type(event).__name__ not in REFUSED_NAMES]
        with self._changed:
            now = self.clock.now()
            queue = self._from_sensor if sensed else self._from_host
            queue.extend(_Waiting(event, now, sensed, next(self._numbers)) for event in events)
            self._changed.notify_all()

    def reset(self) -> None:
        """Forget all input events, and set both clocks to what they are at first."""
        with self._changed:
            self._from_host.clear()
            self._from_sensor.clear()
            self.stop_watch = StopWatch(self.clock, self._wake, self._catch_up)
            self.slow_clock = SlowClock(self.clock, self._wake)

    def pulse(self) -> None:
        """Let the slow clock tick once, beside its own ticks."""
        self.check_alive()
        with self._changed:
            self._serve_tick(self.clock.now())
            self._changed.notify_all()

    def send_now(self, events: list[Any]) -> None:
        """Send output events of the FPGA's own."""
        with self._changed:
            self.outbox.put(events)
            self._changed.notify_all()

    def check_alive(self) -> None:
        """Raise if the devkit was closed or unplugged.

        Raises:
            RuntimeError: it was.
        """
        if self.closed:
            raise RuntimeError("the device is closed: open it again with samna.device.open_device")
        if self.unplugged:
            raise RuntimeError("the device was unplugged: plug it in and open it again")

    def close(self) -> None:
        """End the thread; events that are still in the queue are dropped."""
        with self._changed:
            self.closed = True
            self._from_host.clear()
            self._from_sensor.clear()
            self._changed.notify_all()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _catch_up(self) -> None:
        """Serve what is due by now: at infinite speed that is all that has been written."""
        if not math.isinf(self.clock.speed):
            return
        # what is still on its way would come to a watch that stands still, and wait for ever
        await_carried()
        with self._changed:
            while not (self.closed or self.unplugged):
                if math.isinf(self._next()[0]):
                    return
                self._serve()

    def _wake(self) -> None:
        """Look at the clocks and the queue again."""
        with self._changed:
            self._changed.notify_all()

    def _run(self) -> None:
        with self._changed:
            while not (self.closed or self.unplugged):
                try:
                    self._serve()
                except Exception:
                    # the thread must survive an event that fails, or the script would wait for ever
                    logger.exception("the virtual devkit failed to serve events; they are lost")
                self.outbox.flush()
                if not (self.closed or self.unplugged):
                    self._changed.wait(self._pause())

    def _pause(self) -> float | None:
        """Return the real seconds until something is due; None to wait for a change."""
        moments = [self.outbox.seconds_until_next()]
        due, _ = self._next()
        if not math.isinf(due):
            moments.append(self.clock.seconds_until(due))
        if not (math.isinf(self.slow_clock.next_tick) or math.isinf(self.clock.speed)):
            moments.append(self.clock.seconds_until(self.slow_clock.next_tick))
        pause = min(moments)
        return None if math.isinf(pause) else max(PACE, pause)

    def _serve(self) -> None:
        """Serve all events and ticks that are due, in the order of their times."""
        self._sent = 0
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
        self._turn = self._next_turn(len(due))

    def _next_turn(self, n_events: int) -> int:
        """Return how many events the next turn takes, after one of so many.

        Only a full turn makes the next one larger: one that found little to do says nothing about
        how many spikes its events would have caused.
        """
        if self._sent > SPIKES_PER_TURN:
            return max(1, n_events * SPIKES_PER_TURN // self._sent)
        return min(2 * self._turn, EVENTS_PER_TURN) if n_events == self._turn else self._turn

    def _due(self, waiting: _Waiting) -> float:
        """Return the board time at which an event leaves its queue, µs; infinity for not yet."""
        timestamp = getattr(waiting.event, "timestamp", None)
        earliest = max(waiting.arrived, self._last)
        if timestamp is None or (waiting.sensed and not self.stop_watch.running):
            return earliest
        return self.stop_watch.due(timestamp, earliest)

    def _next(self) -> tuple[float, deque[_Waiting]]:
        """Return when the next event leaves, µs, and its queue; on a tie that which came first."""
        found = (math.inf, 0, self._from_host)
        for queue in (self._from_host, self._from_sensor):
            if queue:
                found = min(found, (self._due(queue[0]), queue[0].number, queue))
        return found[0], found[2]

    def _take_due(self, horizon: float) -> list[tuple[int, Record]]:
        due: list[tuple[int, Record]] = []
        while len(due) < self._turn:
            leaves, queue = self._next()
            if leaves > horizon or math.isinf(leaves):
                break
            self._last = moment = int(leaves)
            waiting = queue.popleft()
            if not waiting.sensed or self._chip.senses(waiting.event):
                due.append((moment, waiting.event))
        return due

    def _play(self, due: list[tuple[int, Record]]) -> None:
        """Serve events, consecutive ones of the same kind and layer together."""
        limit = self._faults.unplug_after
        if limit is not None and self._served + len(due) >= limit:
            due = due[: limit - self._served]
            self.unplugged = True
        self._served += len(due)
        for (kind, layer), group in groupby(
            due, key=lambda item: (type(item[1]), getattr(item[1], "layer", SPECK.dvs.layer))
        ):
            moments, events = zip(*group, strict=True)
            if self._requests.serves(kind):
                if self.stop_watch.running and self._drops_requests:
                    continue
                self.outbox.put(self._requests.answer(events))
            elif kind in {self._classes["Spike"], self._classes["DvsEvent"]}:
                times = np.array([self.stop_watch.reading(moment) for moment in moments])
                spikes = self._spikes_of(layer, events, times)
                self._sent += len(spikes)
                self.outbox.put(spikes)

    def _spikes_of(self, layer: int, events: Sequence[Record], times: np.ndarray) -> list[Record]:
        """Return what the monitors show when events go into one layer.

        Args:
            layer: a core, or the DVS layer.
            events: of one class.
            times: `(n,)` what the stop watch shows at each, µs.
        """
        shown = []
        if layer == SPECK.dvs.layer and self._chip.shows_raw_events:
            shown = [
                type(event).trusted({**event.stored, "timestamp": moment})
                for event, moment in zip(events, times.tolist(), strict=True)
            ]
        feature = "p" if isinstance(events[0], self._classes["DvsEvent"]) else "feature"
        columns = (
            np.fromiter((event.stored[name] for event in events), np.int64, len(events))
            for name in (feature, "y", "x")
        )
        return shown + self._as_events(self._chip.play(layer, *columns), times)

    def _as_events(self, spikes: Spikes, times: np.ndarray) -> list[Record]:
        kind = self._classes["Spike"]
        columns = (spikes.feature, spikes.layer, times[spikes.cause], spikes.x, spikes.y)
        names = ("feature", "layer", "timestamp", "x", "y")
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [kind.trusted(dict(zip(names, row, strict=True))) for row in rows]

    def _tick(self) -> None:
        """Serve a tick of the slow clock: leak, then the readout layer's answer."""
        moment = self.slow_clock.tick()
        self.clock.advance(moment)
        self._serve_tick(moment)

    def _serve_tick(self, moment: int) -> None:
        spikes, value, pins = self._chip.tick()
        answers = [] if value is None else [self._classes["ReadoutValue"](value=value)]
        timestamp = self.stop_watch.reading(moment)
        pin = self._classes["ReadoutPinValue"]
        shown = self._as_events(spikes, np.array([timestamp]))
        self.outbox.put([*shown, *answers, *(pin(index=i, timestamp=timestamp) for i in pins)])
