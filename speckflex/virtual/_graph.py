"""Event graphs, as in samna.graph: nodes in rows, the buffers at their ends, a thread that carries.

The filters between the buffers are in `filters`.
"""

from __future__ import annotations

import logging
import threading
import weakref
from itertools import pairwise
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, ClassVar

from speckflex.virtual._records import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "BasicSinkNode",
    "BasicSourceNode",
    "Edge",
    "EventFilterGraph",
    "Node",
    "await_carried",
    "hand_on",
    "sequential",
    "sink_from",
    "source_to",
]

logger = logging.getLogger("speckflex.virtual")
CARRIED_WITHIN = 10.0  # s that events which were written may take to arrive
# Scripts connect nodes while devices send: the set must not grow while it is iterated.
_edges_lock = threading.Lock()


class Node:
    """One node of a graph; events arrive at `receive` and leave by `send`.

    Attributes:
        accepts: the types of events that it takes.
    """

    accepts: ClassVar[tuple[type, ...]] = (object,)

    def __init__(self) -> None:
        # graphs own their edges: a graph that is garbage-collected stops delivering
        self._outgoing: weakref.WeakSet[Edge] = weakref.WeakSet()
        self._kept: list[Edge] = []

    def connect(self, edge: Edge) -> Edge:
        """Send events along an edge too, for as long as the edge's owner lives."""
        with _edges_lock:
            self._outgoing.add(edge)
        return edge

    def keep(self, edge: Edge) -> None:
        """Own an edge that belongs to no graph."""
        self._kept.append(edge)

    def running_edges(self) -> list[Edge]:
        """Return the edges whose graph runs, in the order in which they were made."""
        with _edges_lock:
            edges = list(self._outgoing)
        return sorted((edge for edge in edges if edge.runs), key=lambda edge: edge.number)

    def send(self, events: Any) -> None:
        """Pass events to every node behind this one."""
        for edge in self.running_edges():
            edge.target.receive(events)

    def receive(self, events: Any) -> None:
        """Take events; a plain node passes them on.

        Args:
            events: a list of events, or a `specksim.Block` of them.
        """
        self.send(events)


class Edge:
    """One connection, open while its graph runs."""

    _made = 0

    def __init__(self, target: Node, *, runs: bool) -> None:
        Edge._made += 1
        self.number, self.target, self.runs = Edge._made, target, runs


class EventFilterGraph:
    """Branches of nodes that start and stop together.

    Args:
        make_node: turns a filter's name into a node.
    """

    def __init__(self, make_node: Callable[[str], Node] | None = None) -> None:
        self._make_node = make_node
        self._edges: list[Edge] = []
        self._nodes: list[Node] = []
        self._started = self._runs = False

    def sequential(self, nodes: Sequence[Node | str]) -> list[Node]:
        """Connect nodes in a row and return them.

        Raises:
            TypeError: an item is no node.
            RuntimeError: there is no filter of a name.
        """
        row = [self._node(item) for item in nodes]
        for sender, target in pairwise(row):
            self._edges.append(sender.connect(Edge(target, runs=self._runs)))
        self._nodes += row
        return row

    def has_node(self, node: Node) -> bool:
        """Return whether a node is in the graph."""
        return any(item is node for item in self._nodes)

    def start(self) -> bool:
        """Let events pass."""
        self._started = True
        return self._switch(runs=True)

    def stop(self) -> bool:
        """Let no further events in; events that were written before still arrive."""
        await_carried()
        return self._switch(runs=False)

    def __del__(self) -> None:
        if not self._started and self._edges:
            logger.warning(
                "Graph is destroyed without any start! Graph is required to start manually to work."
            )
        elif self._runs:
            logger.warning("Graph is destroyed while running!")

    def _switch(self, *, runs: bool) -> bool:
        self._runs = runs
        for edge in self._edges:
            edge.runs = runs
        return True

    def _node(self, item: Node | str) -> Node:
        if isinstance(item, Node):
            return item
        if isinstance(item, str) and self._make_node is not None:
            return self._make_node(item)
        raise TypeError(
            f"{item!r} of type {type(item).__name__} is not a node of a graph: give source, filter"
            " and sink nodes, or a filter's name"
        )


class BasicSourceNode(Node):
    """Takes the events that a script writes."""

    def write(self, events: Sequence[Any]) -> None:
        """Pass events to the nodes behind, in the background.

        Raises:
            TypeError: an event is of a type that this source doesn't take.
        """
        for event in events:
            if not isinstance(event, self.accepts):
                names = ", ".join(kind.__name__ for kind in self.accepts)
                raise TypeError(f"write: this source does not take {event!r}: give {names}")
        hand_on(self, self.pack(events))

    def pack(self, events: Sequence[Any]) -> Any:
        """Return copies of the events, so that later changes by the script don't reach them."""
        return [
            type(event).trusted(dict(event.stored)) if isinstance(event, Record) else event
            for event in events
        ]


class BasicSinkNode(Node):
    """Keeps events until a script reads them."""

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
        """Return `n` events as soon as there are so many, or at the time-out what there is."""
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


def sequential(nodes: Sequence[Node]) -> EventFilterGraph:
    """Return a graph of one branch; it starts and stops like any other."""
    graph = EventFilterGraph()
    graph.sequential(nodes)
    return graph


def sink_from(source: Node) -> BasicSinkNode:
    """Return a buffer that is connected to a source node for as long as the buffer lives."""
    sink = BasicSinkNode()
    sink.keep(source.connect(Edge(sink, runs=True)))
    return sink


def source_to(sink: Node) -> BasicSourceNode:
    """Return a buffer that is connected to a sink node for as long as the buffer lives."""
    # as samna's, it takes the events of the sink's chip alone
    source = type("BasicSourceNode", (BasicSourceNode,), {"accepts": sink.accepts})()
    source.keep(source.connect(Edge(sink, runs=True)))
    return source


class _Carrier:
    """The thread that carries written events through the graphs, in the order of writing."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def submit(self, job: Callable[[], None]) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._run, name="virtual samna graphs", daemon=True
                )
                self._thread.start()
        self._jobs.put(job)

    def drain(self, seconds: float) -> None:
        """Wait until all that was written before has been carried, at most for so long."""
        if self._thread is None or self._thread is threading.current_thread():
            return
        carried = threading.Event()
        self.submit(carried.set)
        carried.wait(seconds)

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                job()
            except Exception:
                # a node's fault must not end the thread that serves all graphs
                logger.exception("a node of an event graph failed; its events are lost")
            # a finished job would keep a graph alive that the script has dropped
            del job


_carrier = _Carrier()


def await_carried() -> None:
    """Wait until all events that scripts have written are at the ends of their graphs.

    It waits for `CARRIED_WITHIN` at most, because a script's own node may take for ever.
    """
    _carrier.drain(CARRIED_WITHIN)


def hand_on(node: Node, events: Any) -> None:
    """Send events from a node, in the background, along the edges that run now."""
    edges = node.running_edges()

    def deliver() -> None:
        for edge in edges:
            edge.target.receive(events)

    if edges:
        _carrier.submit(deliver)


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
