"""The filters of event graphs, and by which of samna's names a graph finds each."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NoReturn

from speckflex.virtual._events import CHIP_EVENTS
from speckflex.virtual._graph import BasicSinkNode, BasicSourceNode, Node

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["JIT_FILTERS", "NAMED_FILTERS", "REFUSED_FILTERS", "make_filter", "refuse_filter"]


class MemberSelect(Node):
    """Passes the events whose member has one of the listed values; all, before a list is set."""

    def __init__(self) -> None:
        super().__init__()
        self._white_list: set[Any] | None = None
        self._member = ""

    def set_white_list(self, values: Sequence[Any], member: str) -> None:
        """Set which values, integers or texts, of which member pass."""
        self._white_list, self._member = set(values), member

    def receive(self, events: Any) -> None:
        """Pass on the listed events; one without the member does not pass."""
        if self._white_list is not None:
            events = [e for e in events if getattr(e, self._member, None) in self._white_list]
        self.send(events)


class EventTypeFilter(Node):
    """Passes the events of one type, or all but those of one type; all, before one is set."""

    def __init__(self) -> None:
        super().__init__()
        self._desired = self._rejected = ""

    def get_available_types(self) -> list[str]:
        """Return the names of the types that it knows."""
        return [
            f"{kind.namespace}::{kind.__name__}"
            for kinds in CHIP_EVENTS.values()
            for kind in kinds.values()
        ]

    def set_desired_type(self, name: str) -> None:
        """Set the type that passes by its name, such as "speck2f::event::Spike".

        Raises:
            RuntimeError: there is no such type.
        """
        self._desired = self._known(name)

    def get_desired_type(self) -> str:
        """Return the name of the type that passes; "" for none."""
        return self._desired

    def set_rejected_type(self, name: str) -> None:
        """Set the type that does not pass by its name.

        Raises:
            RuntimeError: there is no such type.
        """
        self._rejected = self._known(name)

    def get_rejected_type(self) -> str:
        """Return the name of the type that does not pass; "" for none."""
        return self._rejected

    def receive(self, events: Any) -> None:
        """Pass on the events of the type."""
        named = [(event, f"{event.namespace}::{type(event).__name__}") for event in events]
        desired = {"", self._desired}
        self.send(
            [
                event
                for event, name in named
                if (not self._desired or name in desired) and name != self._rejected
            ]
        )

    def _known(self, name: str) -> str:
        if name not in self.get_available_types():
            raise RuntimeError(
                f"there is no event type {name!r}: choose one of"
                f" {', '.join(self.get_available_types())}"
            )
        return name


class EventCrop(Node):
    """Passes the events inside a region, whose upper left pixel becomes (0, 0)."""

    def __init__(self) -> None:
        super().__init__()
        self._region = (0, 0, 2**31 - 1, 2**31 - 1)

    def set_roi(self, x_tl: int, y_tl: int, x_br: int, y_br: int) -> None:
        """Set the first and the last pixel of the region; both are inside."""
        self._region = (x_tl, y_tl, x_br, y_br)

    def receive(self, events: Any) -> None:
        """Pass on the events inside, moved; what has no address is dropped."""
        left, top, right, bottom = self._region
        self.send(
            [
                _moved(event, event.x - left, event.y - top)
                for event in events
                if hasattr(event, "x") and left <= event.x <= right and top <= event.y <= bottom
            ]
        )


class EventDecimate(Node):
    """Passes L of every M events; that it is the last L of them is assumed."""

    def __init__(self) -> None:
        super().__init__()
        self._m, self._l = 1, 1
        self._seen = 0

    def set_decimation_fraction(self, m: int, l: int = 1) -> None:  # noqa: E741 - samna's names
        """Set how many of how many events pass.

        Raises:
            RuntimeError: it is no fraction up to 1.
        """
        if not 0 < l <= m:
            raise RuntimeError(f"decimation fraction {l}/{m}: give 0 < L <= M")
        self._m, self._l = m, l

    def reset(self) -> None:
        """Begin to count anew."""
        self._seen = 0

    def receive(self, events: Any) -> None:
        """Pass on some of the events."""
        passed = []
        for event in events:
            self._seen = self._seen % self._m + 1
            if self._seen > self._m - self._l:
                passed.append(event)
        self.send(passed)


class EventRescale(Node):
    """Divides addresses by whole numbers; that it divides, and rounds down, is assumed."""

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def set_rescaling_coefficients(self, width: int, height: int) -> None:
        """Set by what x and y are divided.

        Raises:
            RuntimeError: a number is not positive.
        """
        if min(width, height) < 1:
            raise RuntimeError(f"rescaling coefficients {width}, {height}: give 1 or more")
        self._width, self._height = width, height

    def reset(self) -> None:
        """Divide by 1."""
        self._width = self._height = 1

    def receive(self, events: Any) -> None:
        """Pass on all events, moved."""
        self.send([_moved(e, e.x // self._width, e.y // self._height) for e in events])


class CustomFilterNode(Node):
    """Calls a Python function with each list of events, and passes on what it returns."""

    def __init__(self) -> None:
        super().__init__()
        self._function: Callable[[list[Any]], Sequence[Any]] | None = None

    def set_filter_function(self, function: Callable[[list[Any]], Sequence[Any]]) -> None:
        """Set the function; it gets a list of events and returns one."""
        self._function = function

    def start(self) -> None:
        """Do nothing: the graph's thread calls the function."""

    def stop(self) -> None:
        """Call the function no more."""
        self._function = None

    def receive(self, events: Any) -> None:
        """Pass on what the function makes of the events."""
        if self._function is not None:
            self.send(list(self._function(list(events)) or []))


class Toggle(Node):
    """Passes events while it is switched on."""

    def __init__(self) -> None:
        super().__init__()
        self._on = True

    def set_toggle(self, on: bool) -> None:  # noqa: FBT001 - samna's signature
        """Switch it on or off."""
        self._on = on

    def receive(self, events: Any) -> None:
        """Pass on all events, or none."""
        if self._on:
            self.send(events)


class SpikeCollectionNode(Node):
    """Gathers spikes over an interval of real time and passes them on together."""

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


class SpikeCountNode(Node):
    """Passes on the number of spikes of each feature."""

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


class BackgroundNoiseRater(Node):
    """Counts sensor events and spikes in a picture, and passes all on.

    A rate is a count divided by the last time stamp less the first one, as samna's documents say;
    so it is in events per µs. That it passes events on is assumed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setup(0, 0)

    def setup(self, x: int, y: int) -> None:
        """Forget all counts, and set how many columns and rows are counted."""
        self._counts = [[[0] * x for _ in range(y)] for _ in range(2)]
        self._first: int | None = None
        self._last = 0

    def reset(self) -> None:
        """Forget all counts."""
        self.setup(len(self._counts[0][0]) if self._counts[0] else 0, len(self._counts[0]))

    def get_result(self) -> float:
        """Return the rate of all events."""
        return sum(self.get_result_per_polarity())

    def get_result_per_polarity(self) -> list[float]:
        """Return the rate of each polarity; a spike's is its feature."""
        return [sum(map(sum, rows)) for rows in self.get_raw_result_per_polarity()]

    def get_raw_result(self) -> list[list[float]]:
        """Return the rate of each pixel, (y, x)."""
        off, on = self.get_raw_result_per_polarity()
        return [[a + b for a, b in zip(*rows, strict=True)] for rows in zip(off, on, strict=True)]

    def get_raw_result_per_polarity(self) -> list[list[list[float]]]:
        """Return the rate of each polarity and pixel, (2, y, x)."""
        span = self._last - (self._first or 0)
        return [
            [[count / span if span > 0 else 0.0 for count in row] for row in rows]
            for rows in self._counts
        ]

    def receive(self, events: Any) -> None:
        """Count events with an address inside, and pass on all."""
        for event in events:
            polarity = int(getattr(event, "p", getattr(event, "feature", -1)))
            if polarity not in (0, 1) or not hasattr(event, "timestamp"):
                continue
            rows = self._counts[polarity]
            if event.y < len(rows) and event.x < len(rows[event.y]):
                rows[event.y][event.x] += 1
                self._first = event.timestamp if self._first is None else self._first
                self._last = event.timestamp
        self.send(events)


class MajorityReadoutNode(Node):
    """Passes on the feature with most spikes, or the default if no feature leads."""

    def __init__(self) -> None:
        super().__init__()
        self._default = 0
        self._low, self._high = 0, 2**31 - 1

    def set_feature_count(self, count: int) -> None:
        """Accept the number of features; the most frequent one is found without it."""

    def set_default_feature(self, feature: int) -> None:
        """Set the feature that is passed on if no feature leads."""
        self._default = feature

    def set_threshold_low(self, threshold: int) -> None:
        """Set the smallest number of spikes for which a feature is chosen."""
        self._low = threshold

    def set_threshold_high(self, threshold: int) -> None:
        """Set the largest number of spikes for which a feature is chosen."""
        self._high = threshold

    def receive(self, events: Any) -> None:
        """Pass on one feature."""
        counts = Counter(event.feature for event in events).most_common(2)
        leads = len(counts) == 1 or (len(counts) == 2 and counts[0][1] > counts[1][1])
        valid = leads and self._low <= len(events) <= self._high
        self.send([counts[0][0] if valid else self._default])


class VisualizerNode(Node):
    """Stands for the nodes that feed samna's window; there is no window, so events end here."""

    def set_streamer_endpoint(self, endpoint: str) -> bool:
        """Accept the address of a window."""
        return True

    def wait_for_receiver_count(self, count: int = 1, timeout_ms: int = 0) -> bool:
        """Return at once, since no window will connect."""
        return True

    def get_connected_receiver_count(self) -> int:
        """Return zero, since there is no window."""
        return 0

    def set_receiver_endpoint(self, endpoint: str) -> bool:
        """Accept the address of a streamer."""
        return True

    def receive(self, events: Any) -> None:
        """Drop events."""


class EventCounterSink(Node):
    """Counts events and ends them."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    def get_count(self) -> int:
        """Return how many events have come."""
        return self._count

    def reset(self) -> None:
        """Begin to count anew."""
        self._count = 0

    def receive(self, events: Any) -> None:
        """Count the events."""
        self._count += len(events)


# String filters by the end of their name, since samna writes the chip's name before it.
NAMED_FILTERS: dict[str, type[Node]] = {
    "DvsToVizConverter": VisualizerNode,
    "OutputEventTypeFilter": EventTypeFilter,
    "InputEventTypeFilter": EventTypeFilter,
    "OutputMemberSelect": MemberSelect,
    "InputMemberSelect": MemberSelect,
    "SpikeCollectionNode": SpikeCollectionNode,
    "SpikeCountNode": SpikeCountNode,
    "MajorityReadoutNode": MajorityReadoutNode,
    "BackgroundNoiseRater": BackgroundNoiseRater,
    "CustomFilterNode": CustomFilterNode,
    "EventCrop": EventCrop,
    "EventDecimate": EventDecimate,
    "EventRescale": EventRescale,
    "Forward": Node,
    "VizEventStreamer": VisualizerNode,
    "VizEventReceiver": VisualizerNode,
    "MeasurementToVizConverter": VisualizerNode,
    "CameraToVizConverter": VisualizerNode,
}
# Filters that samna compiles for an event type; the type does not matter here.
JIT_FILTERS: dict[str, type[Node]] = {
    "JitMemberSelect": MemberSelect,
    "JitEventTypeFilter": EventTypeFilter,
    "JitDvsEventCrop": EventCrop,
    "JitDvsEventDecimate": EventDecimate,
    "JitDvsEventRescale": EventRescale,
    "JitDvsEventToViz": VisualizerNode,
    "JitEventCounterSink": EventCounterSink,
    "JitSpikeCollection": SpikeCollectionNode,
    "JitSpikeCount": SpikeCountNode,
    "JitMajorityReadout": MajorityReadoutNode,
    "JitToggle": Toggle,
    "JitSource": BasicSourceNode,
    "JitSink": BasicSinkNode,
}
# Filters that run C++ of the script's, or send events out of the process.
REFUSED_FILTERS = {
    "JitFilter": "runs C++, which the stand-in can't compile",
    "JitFunctionFilter": "runs C++, which the stand-in can't compile",
    "JitSplitting": "splits events into types, which no source describes",
    "JitZMQReceiver": "takes events from the network, which the stand-in does not do",
    "JitZMQStreamer": "sends events to the network, which the stand-in does not do",
}
# samna's documents spell these two in both ways
REFUSED_FILTERS |= {
    name.replace("ZMQ", "Zmq"): reason for name, reason in REFUSED_FILTERS.items() if "ZMQ" in name
}
# String filters of samna that the stand-in has not, by the end of their name.
REFUSED_NAMES = {
    "DvsImageReconstructFilter": "makes pictures by a rule that no source states",
    "ClusterFilter": "finds clusters by a rule that no source states",
    "CameraToSpeck2fInput": "takes the events of a camera, and the stand-in has none",
    "CameraToSpeck2eInput": "takes the events of a camera, and the stand-in has none",
}


def make_filter(name: str) -> Node:
    """Return a new string filter.

    Raises:
        RuntimeError: there is no filter of that name, or the stand-in has none.
    """
    for ending, reason in REFUSED_NAMES.items():
        if name.endswith(ending):
            _refuse(name, reason)
    for ending, kind in NAMED_FILTERS.items():
        if name.endswith(ending):
            return kind()
    raise RuntimeError(f"there is no filter {name!r}: names end in {', '.join(NAMED_FILTERS)}")


def refuse_filter(name: str) -> NoReturn:
    """Refuse a filter, lest its events vanish without a word.

    Raises:
        RuntimeError: always; it says why.
    """
    _refuse(name, REFUSED_FILTERS[name])


def _refuse(name: str, reason: str) -> NoReturn:
    raise RuntimeError(f"{name} {reason}: use a filter in Python, such as Speck2fCustomFilterNode")


def _moved(event: Any, x: int, y: int) -> Any:
    """Return a copy of an event at another address."""
    return type(event).trusted({**event.stored, "x": x, "y": y})
