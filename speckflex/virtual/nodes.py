"""The nodes of event graphs: buffers by samna's names, and the filters users connect."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

from speckflex.virtual.graph import Edge, Node, hand_on

if TYPE_CHECKING:
    from collections.abc import Sequence


__all__ = [
    "MajorityReadout",
    "MemberSelect",
    "SinkBuffer",
    "SourceBuffer",
    "SpikeCollection",
    "SpikeCount",
    "TypeFilter",
    "VisualizerNode",
    "sink_from",
    "source_to",
]


class SourceBuffer(Node):
    """Where a script writes events."""

    accepts: ClassVar[tuple[type, ...]] = (object,)

    def write(self, events: Sequence[Any]) -> None:
        """Hand events on to the nodes behind, in the background.

        Raises:
            TypeError: an event is of a type that this source doesn't take.
        """
        for event in events:
            if not isinstance(event, self.accepts):
                names = ", ".join(kind.__name__ for kind in self.accepts)
                raise TypeError(f"write: {event!r} can't go into this source: give {names}")
        hand_on(self, self.pack(events))

    def pack(self, events: Sequence[Any]) -> Any:
        """Return what travels: copies, so that later changes by the script don't reach them."""
        return [_copied(event) for event in events]


class SinkBuffer(Node):
    """Where a script reads events."""

    def __init__(self) -> None:
        super().__init__()
        self._events: list[Any] = []
        self._arrived = threading.Condition()

    def receive(self, events: Any) -> None:
        """Keep events until they are read."""
        with self._arrived:
            self._events += self.unpack(events)
            self._arrived.notify_all()

    def unpack(self, events: Any) -> list[Any]:
        """Return what arrived as a list of events."""
        return list(events)

    def get_events(self) -> list[Any]:
        """Return all events that have arrived, and forget them."""
        return self._take()

    def get_events_blocking(self, timeout_ms: float | None = None) -> list[Any]:
        """Return all events as soon as there is one; none after the time-out, if one is given."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._events, _seconds(timeout_ms))
            return self._take()

    def get_n_events(self, n: int, timeout_ms: float | None = None) -> list[Any]:
        """Return `n` events as soon as so many are there, or what is there at the time-out."""
        with self._arrived:
            self._arrived.wait_for(lambda: len(self._events) >= n, _seconds(timeout_ms))
            return self._take(n)

    def clear_events(self) -> None:
        """Forget all events that have arrived."""
        self._take()

    def _take(self, n: int | None = None) -> list[Any]:
        with self._arrived:
            taken, self._events = self._events[:n], [] if n is None else self._events[n:]
        return taken


class MemberSelect(Node):
    """Passes the events whose member has one of the listed values; all, before a list is set."""

    def __init__(self) -> None:
        super().__init__()
        self._white_list: set[Any] | None = None
        self._member = ""

    def set_white_list(self, values: Sequence[Any], member: str) -> None:
        """Set which values of which member pass."""
        self._white_list, self._member = set(values), member

    def receive(self, events: Any) -> None:
        """Pass on what is listed."""
        if self._white_list is not None:
            events = [e for e in events if getattr(e, self._member, None) in self._white_list]
        self.send(events)


class TypeFilter(Node):
    """Passes the events of one type; all, before one is set."""

    def __init__(self) -> None:
        super().__init__()
        self._desired = ""

    def set_desired_type(self, name: str) -> None:
        """Set the type by its name, such as "speck2f::event::Spike"."""
        self._desired = name.rsplit("::", 1)[-1]

    def receive(self, events: Any) -> None:
        """Pass on what has the type."""
        self.send([e for e in events if self._desired in {"", type(e).__name__}])


class SpikeCollection(Node):
    """Gathers spikes over an interval of real time and passes them on in one piece."""

    def __init__(self) -> None:
        super().__init__()
        self._interval = 0.0
        self._gathered: list[Any] = []
        self._since = time.monotonic()

    def set_interval_milli_sec(self, interval: float) -> None:
        """Set the interval, ms."""
        self._interval = interval / 1000

    def receive(self, events: Any) -> None:
        """Keep events; pass all on when the interval is over (checked as events arrive)."""
        self._gathered += events
        if time.monotonic() - self._since >= self._interval:
            gathered, self._gathered = self._gathered, []
            self._since = time.monotonic()
            self.send(gathered)


class SpikeCount(Node):
    """Passes on how many spikes each feature had."""

    def __init__(self) -> None:
        super().__init__()
        self._feature_count = 0

    def set_feature_count(self, count: int) -> None:
        """Set how many features there are."""
        self._feature_count = count

    def receive(self, events: Any) -> None:
        """Pass on (feature, count) pairs."""
        counts = Counter(event.feature for event in events)
        self.send([(feature, counts[feature]) for feature in range(self._feature_count)])


class MajorityReadout(Node):
    """Passes on the feature with most spikes, or the default where none leads."""

    def __init__(self) -> None:
        super().__init__()
        self._feature_count = 0
        self._default = 0
        self._low, self._high = 0, 2**31 - 1

    def set_feature_count(self, count: int) -> None:
        """Set how many features there are."""
        self._feature_count = count

    def set_default_feature(self, feature: int) -> None:
        """Set what is passed on where no feature leads."""
        self._default = feature

    def set_threshold_low(self, threshold: int) -> None:
        """Set how many spikes there must be."""
        self._low = threshold

    def set_threshold_high(self, threshold: int) -> None:
        """Set how many spikes there may be."""
        self._high = threshold

    def receive(self, events: Any) -> None:
        """Pass on one feature."""
        counts = Counter(event.feature for event in events).most_common(2)
        leads = len(counts) == 1 or (len(counts) == 2 and counts[0][1] > counts[1][1])
        valid = leads and self._low <= len(events) <= self._high
        self.send([counts[0][0] if valid else self._default])


class VisualizerNode(Node):
    """Takes part in graphs for samna's window, which there is none of: events end here."""

    def set_streamer_endpoint(self, endpoint: str) -> bool:
        """Accept the address of a window."""
        return True

    def wait_for_receiver_count(self, count: int = 1) -> bool:
        """Return at once: no window will come."""
        return True

    def receive(self, events: Any) -> None:
        """Drop events."""


def sink_from(source: Node) -> SinkBuffer:
    """Return a buffer that is connected to a source node and runs as long as it is kept."""
    sink = SinkBuffer()
    sink.keep(source.connect(Edge(sink, runs=True)))
    return sink


def source_to(sink: Node) -> SourceBuffer:
    """Return a buffer that is connected to a sink node and runs as long as it is kept."""
    source = SourceBuffer()
    source.keep(source.connect(Edge(sink, runs=True)))
    return source


def _copied(event: Any) -> Any:
    """Return a copy of a flat record; anything else stays what it is."""
    values = getattr(event, "stored_values", None)
    return event if values is None else type(event).trusted(dict(values))


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
