"""The clocks of a virtual devkit: board time, the stop watch and the slow clock."""

from __future__ import annotations

import logging
import math
import time
import warnings
from typing import TYPE_CHECKING

from speckflex.chips.facts import fact
from speckflex.events.streams import MICROSECONDS_PER_SECOND
from speckflex.virtual._records import as_number, as_switch

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["COUNTER", "BoardClock", "SlowClock", "StopWatch"]

# With more than a tick every 10 µs the board would do nothing but tick.
MAX_SLOW_CLOCK_RATE = 100_000
DEFAULT_SLOW_CLOCK_RATE = fact("slow_clock_rate")  # Hz; the clock is off at first
COUNTER = fact("counter")
logger = logging.getLogger("speckflex.virtual")


class BoardClock:
    """Microseconds since the board was opened.

    Args:
        speed: board seconds per real second; at infinity, events take no time and the clock
            stands at the latest event.
    """

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._opened = time.monotonic()
        self._latest = 0

    def now(self) -> int:
        """Return the time, µs."""
        if math.isinf(self.speed):
            return self._latest
        return int((time.monotonic() - self._opened) * self.speed * MICROSECONDS_PER_SECOND)

    def horizon(self) -> float:
        """Return the time until which events may be served now, µs; infinite at infinite speed."""
        return math.inf if math.isinf(self.speed) else self.now()

    def advance(self, latest: int) -> None:
        """Set the clock to `latest` at infinite speed; at other speeds it advances by itself."""
        self._latest = max(self._latest, latest)

    def seconds_until(self, moment: float) -> float:
        """Return the real seconds until a board time in µs; 0 if it is past."""
        if math.isinf(self.speed):
            return 0.0
        return max(0.0, (moment - self.now()) / (self.speed * MICROSECONDS_PER_SECOND))


class StopWatch:
    """The FPGA's stop watch: it decides when input events leave, and stamps output events.

    An event leaves once its timestamp is not later than the counter. A stopped watch holds its
    counter: events later than it wait until the watch runs again, and so does all that was
    written after them (samna 0.48.5, devkits, "Timestamp").

    Args:
        clock: the board's clock.
        changed: called after every change.
        stopping: called before the counter is frozen.
    """

    def __init__(
        self, clock: BoardClock, changed: Callable[[], None], stopping: Callable[[], None]
    ) -> None:
        self._clock, self._changed, self._stopping = clock, changed, stopping
        self.running = False
        self._origin = 0
        self._stopped_at = 0

    def start(self, reset: bool = True) -> None:  # noqa: FBT001, FBT002 - samna's signature
        """Start counting, from zero by default."""
        reading = 0 if as_switch("start", reset) else self.reading(self._clock.now())
        self._origin = self._clock.now() - reading
        self.running = True
        self._changed()

    def stop(self) -> None:
        """Stop counting; the reading stays."""
        self._stopping()
        self._stopped_at = self.reading(self._clock.now())
        self.running = False
        self._changed()

    def reset(self) -> None:
        """Set the reading to zero; a running watch keeps running."""
        self._origin = self._clock.now()
        self._stopped_at = 0
        self._changed()

    def set_enable_value(self, enable: bool) -> None:  # noqa: FBT001 - samna's signature
        """Start or stop at zero; deprecated in samna."""
        text = "`set_enable_value` is DEPRECATED, use `start` and `stop` instead."
        logger.warning(text)
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        if as_switch("set_enable_value", enable):
            self.start()
        else:
            self.stop()
            self.reset()

    def set_base_period(self, period: float) -> None:
        """Accept a period; samna's reference does not say what it is."""
        as_number("set_base_period", period)

    def reading(self, moment: int) -> int:
        """Return what the watch shows at a board time, µs."""
        return max(0, moment - self._origin) % COUNTER if self.running else self._stopped_at

    def due(self, timestamp: int, moment: int) -> float:
        """Return the board time at which an event of that timestamp may leave, µs.

        Args:
            timestamp: of the event, µs.
            moment: the earliest board time that is asked for.

        Returns:
            Infinity for an event that a stopped watch holds back.
        """
        reading = self.reading(moment)
        if timestamp <= reading:
            return moment
        return max(moment, self._origin) + timestamp - reading if self.running else math.inf


class SlowClock:
    """The FPGA's slow clock, which drives leak and readout; its phase is not documented."""

    def __init__(self, clock: BoardClock, changed: Callable[[], None]) -> None:
        self._clock, self._changed = clock, changed
        self._enabled = False
        self._period = MICROSECONDS_PER_SECOND // DEFAULT_SLOW_CLOCK_RATE
        self.next_tick = math.inf

    def enable(self, enabled: bool) -> None:  # noqa: FBT001 - a switch
        """Switch ticking on or off."""
        self._enabled = enabled
        self._restart()

    def set_rate(self, hertz: int) -> None:
        """Set how often it ticks.

        Raises:
            RuntimeError: the rate is not positive, or higher than the board can serve.
        """
        if not 0 < hertz <= MAX_SLOW_CLOCK_RATE:
            raise RuntimeError(
                f"slow clock rate {hertz} Hz: give more than 0 and at most {MAX_SLOW_CLOCK_RATE}"
            )
        self._period = max(1, round(MICROSECONDS_PER_SECOND / hertz))
        self._restart()

    def tick(self) -> int:
        """Return the time of the tick that is due, and schedule the next."""
        moment = int(self.next_tick)
        self.next_tick = moment + self._period
        return moment

    def _restart(self) -> None:
        self.next_tick = self._clock.now() + self._period if self._enabled else math.inf
        self._changed()
