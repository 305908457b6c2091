"""Spikes on a GPU through programs in which every core has one sender."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speckflex.twin.gpu._core import DeviceCore, DeviceQueue, DeviceRunningCore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from speckflex.program.routing import Edge
    from speckflex.twin.graph import Graph

__all__ = ["TreePassage"]


class TreePassage:
    """The neurons of many samples on a GPU, and the queues between their cores.

    A core is started once for all samples, and again while one of them had no room for its
    spikes. What it sends goes through the cores behind it before it is started again.

    Args:
        graph: of the program.
        cores: its cores on the GPU.
        n_samples: how many samples play.
        with_times: keep the time of each spike.
    """

    def __init__(
        self, graph: Graph, cores: Sequence[DeviceCore], n_samples: int, *, with_times: bool
    ) -> None:
        self._edges = graph.edges
        self.cores = [DeviceRunningCore(core, n_samples, with_times=with_times) for core in cores]

    def run(self, queue: DeviceQueue) -> Iterator[tuple[int, DeviceQueue]]:
        """Run events of the input through all cores; see `DevicePassage.run`."""
        yield from self._follow(self._edges[-1], queue)

    def _follow(
        self, edges: Sequence[Edge], queue: DeviceQueue
    ) -> Iterator[tuple[int, DeviceQueue]]:
        """Send spikes along the edges of one sender, and on to the end of the program."""
        for edge in edges:
            for emission in self.cores[edge.target].run(queue):
                yield edge.target, emission.monitored
                yield from self._follow(self._edges[edge.target], emission.sent)
