"""The filters of event graphs, and by which of samna's names a graph finds each."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from speckflex.virtual._graph import BasicSinkNode, BasicSourceNode, Node

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["JIT_FILTERS", "NAMED_FILTERS", "make_filter"]


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
        """Pass on the listed events."""
        if self._white_list is not None:
            events = [e for e in events if getattr(e, self._member, None) in self._white_list]
        self.send(events)


class EventTypeFilter(Node):
    """Passes the events of one type; all, before one is set."""

    def __init__(self) -> None:
        super().__init__()
        self._desired = ""

    def set_desired_type(self, name: str) -> None:
        """Set the type by its name, such as "speck2f::event::Spike"."""
        self._desired = name.rsplit("::", 1)[-1]

    def receive(self, events: Any) -> None:
        """Pass on the events of the type."""
        self.send([e for e in events if self._desired in {"", type(e).__name__}])


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

    def wait_for_receiver_count(self, count: int = 1) -> bool:
        """Return at once, since no window will connect."""
        return True

    def receive(self, events: Any) -> None:
        """Drop events."""


# String filters by the end of their name, since samna writes the chip's name before it.
NAMED_FILTERS: dict[str, type[Node]] = {
    "DvsToVizConverter": VisualizerNode,
    "OutputEventTypeFilter": EventTypeFilter,
    "OutputMemberSelect": MemberSelect,
    "SpikeCollectionNode": SpikeCollectionNode,
    "SpikeCountNode": SpikeCountNode,
    "VizEventStreamer": VisualizerNode,
    "VizEventReceiver": VisualizerNode,
    "MeasurementToVizConverter": VisualizerNode,
    "CameraToVizConverter": VisualizerNode,
}
# Filters that samna compiles for an event type; the type does not matter here.
JIT_FILTERS: dict[str, type[Node]] = {
    "JitMemberSelect": MemberSelect,
    "JitDvsEventToViz": VisualizerNode,
    "JitSpikeCollection": SpikeCollectionNode,
    "JitSpikeCount": SpikeCountNode,
    "JitMajorityReadout": MajorityReadoutNode,
    "JitFilter": VisualizerNode,
    "JitFunctionFilter": VisualizerNode,
    "JitSource": BasicSourceNode,
    "JitSink": BasicSinkNode,
}


def make_filter(name: str) -> Node:
    """Return a new string filter.

    Raises:
        RuntimeError: there is no filter of that name.
    """
    for ending, kind in NAMED_FILTERS.items():
        if name.endswith(ending):
            return kind()
    raise RuntimeError(f"there is no filter {name!r}: names end in {', '.join(NAMED_FILTERS)}")
