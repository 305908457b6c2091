"""All cores of the twin, one after the other, for kernels that run them together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speckflex.kernels.integrate import LANES
from speckflex.kernels.joined_cores import JoinedCores
from speckflex.kernels.records import ALL, CORE, EDGE, LAYOUT, NONE, PASSING, ROUTE, RULE
from speckflex.twin.cores import MASKS_PER_FLUSH, Decimator, zeros_apart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.program.routing import Edge
    from speckflex.twin.cores import RunningCore
    from speckflex.twin.graph import Graph
    from speckflex.twin.settings import TwinSettings

__all__ = ["JoinedCoresModel", "RunningJoinedCores", "starts_of"]


class JoinedCoresModel:
    """What never changes while a program runs; shared by all threads.

    Attributes:
        arrays: the cores' constants, one after the other.

    Args:
        graph: the cores and their edges.
        rooms: for each core, how many spikes it may have on their way.
    """

    def __init__(self, graph: Graph, rooms: Sequence[int]) -> None:
        self.cores = cores = graph.cores
        sorted_edges = [sorted(group, key=lambda edge: edge.rank) for group in graph.edges]
        table = self._table(sorted_edges, rooms, graph.settings)
        self.arrays = JoinedCores(
            cores=table,
            edges=np.array(
                [
                    (edge.target, table["routes"][edge.target] + edge.offset)
                    for group in sorted_edges
                    for edge in group
                ],
                EDGE,
            ),
            routes=np.concatenate([core.routes for core in cores], dtype=ROUTE),
            weights=np.concatenate([core.weights for core in cores]),
            layout=np.concatenate([core.layout for core in cores], dtype=LAYOUT),
            rule=np.concatenate([core.rule for core in cores], dtype=RULE),
        )

    def _table(
        self, edges: Sequence[Sequence[Edge]], rooms: Sequence[int], settings: TwinSettings
    ) -> np.ndarray:
        table = np.zeros(len(edges), CORE)
        table["sender"], table["monitors"], table["ratio"] = -1, NONE, 1
        ends = starts_of([len(group) for group in edges])
        table["first_edge"], table["end_edge"] = ends[:-1], ends[1:]
        for sender, group in enumerate(edges):
            table["sender"][[edge.target for edge in group]] = sender
        # the input's row says where the last core's own end
        table["routes"] = starts_of([len(core.routes) for core in self.cores])
        table["weights"] = starts_of([core.weights.size for core in self.cores])
        table["memory"] = starts_of([core.initial.size + LANES for core in self.cores])
        table["counts"] = starts_of([core.initial.size for core in self.cores])
        table["spikes"] = starts_of([room + LANES for room in rooms])
        own = table[:-1]
        own["monitors"] = ALL if settings.decimator_monitor == "before" else PASSING
        for row, model in zip(own, self.cores, strict=True):
            decimator = Decimator(model.core, settings)
            row["ratio"], row["passing"] = decimator.ratio, decimator.phase
        return table


class RunningJoinedCores:
    """The potentials and spike counts of all cores, one after the other.

    Attributes:
        memory: int16, potentials.
        counts: int64, monitored spikes of one sample.
        seen: `(c + 1,) int64`, how many spikes each decimator has counted; the input has none.
        spikes: int32, room for the spikes that are on their way.
        pending: scratch of the kernel.

    Args:
        model: the cores' constants.
        cores: the cores, which keep their potentials and counts here from now on.
    """

    def __init__(self, model: JoinedCoresModel, cores: Sequence[RunningCore]) -> None:
        table = model.arrays.cores
        self.memory = zeros_apart(table["memory"][-1], np.int16)
        self.counts = zeros_apart(table["counts"][-1], np.int64)
        self.seen = zeros_apart(len(table), np.int64)
        self.spikes = zeros_apart(table["spikes"][-1], np.int32)
        most_masks = max(core.most_masks for core in model.cores)
        self.pending = zeros_apart(most_masks + MASKS_PER_FLUSH, np.uint64)
        memories = np.split(self.memory, table["memory"][1:-1])
        counts = np.split(self.counts, table["counts"][1:-1])
        places = zip(memories, counts, np.split(self.seen[:-1], len(cores)), strict=True)
        for core, (own_memory, own_counts, own_seen) in zip(cores, places, strict=True):
            core.move_into(own_memory, own_counts)
            core.decimator.move_into(own_seen)


def starts_of(sizes: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return where things of these sizes begin, laid one after the other, and the end."""
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
