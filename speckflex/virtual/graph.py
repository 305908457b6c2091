"""Event filter graphs: nodes in a row, events handed on by a thread in the background."""

from __future__ import annotations

import logging
import threading
import weakref
from itertools import pairwise
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Edge", "EventFilterGraph", "Node", "hand_on", "sequential"]

logger = logging.getLogger("speckflex.virtual")
# Scripts connect nodes while devices send: a set must not grow while it is walked through.
_edges_lock = threading.Lock()


class Node:
    """What a graph connects; events arrive at `receive` and leave by `send`."""

    def __init__(self) -> None:
        # graphs own their edges: a graph that is garbage-collected stops delivering
        self._outgoing: weakref.WeakSet[Edge] = weakref.WeakSet()
        self._kept: list[Edge] = []

    def connect(self, edge: Edge) -> Edge:
        """Let an edge take part in what this node sends, for as long as its owner lives."""
        with _edges_lock:
            self._outgoing.add(edge)
        return edge

    def keep(self, edge: Edge) -> None:
        """Own an edge that belongs to no graph."""
        self._kept.append(edge)

    def running_edges(self) -> list[Edge]:
        """Return the edges whose graph runs, in the order they were made."""
        with _edges_lock:
            edges = list(self._outgoing)
        return sorted((edge for edge in edges if edge.runs), key=lambda edge: edge.number)

    def send(self, events: Any) -> None:
        """Pass events to every node behind this one."""
        for edge in self.running_edges():
            edge.target.receive(events)

    def receive(self, events: Any) -> None:
        """Take events in; a plain node passes them on.

        Args:
            events: a list of events, or a block of them that only neighbours understand.
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

    def start(self) -> bool:
        """Let events flow."""
        return self._switch(runs=True)

    def stop(self) -> bool:
        """Let no further events in; what was written before still arrives."""
        return self._switch(runs=False)

    def __del__(self) -> None:
        if not self._started and self._edges:
            logger.warning(
                "Graph is destroyed without any start! Graph is required to start manually to work."
            )
        elif self._runs:
            logger.warning("Graph is destroyed while running!")

    def _switch(self, *, runs: bool) -> bool:
        self._started |= runs
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
            f"{item!r} of type {type(item).__name__} is no node of a graph: give source, filter"
            " and sink nodes, or a filter's name"
        )


def sequential(nodes: Sequence[Node]) -> EventFilterGraph:
    """Return a graph of one branch; it starts and stops like any other."""
    graph = EventFilterGraph()
    graph.sequential(nodes)
    return graph


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

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                job()
            except Exception:
                # a node's fault must not end the thread that serves all graphs
                logger.exception("a node of an event graph failed; its events are lost")
            # or the last job would keep a dropped graph alive
            del job


_carrier = _Carrier()


def hand_on(node: Node, events: Any) -> None:
    """Send events from a node, in the background, along the edges that run now."""
    edges = node.running_edges()

    def deliver() -> None:
        for edge in edges:
            edge.target.receive(events)

    if edges:
        _carrier.submit(deliver)
