"""Spikes on a GPU through programs in which a core has several senders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex.kernels.cuda_device import allocate, launch, upload
from speckflex.kernels.cuda_integrate import (
    DEVICE_CORE,
    FIELD,
    FRAME,
    MOST_FRAMES,
    TALLY,
    integrate_depth_first,
)
from speckflex.kernels.records import EDGE
from speckflex.twin.gpu._core import DeviceCore, DeviceNeurons, DeviceQueue

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from speckflex.twin.graph import Graph

__all__ = ["DeviceGraph", "GraphPassage"]


class DeviceGraph:
    """The tables of all cores in one, in the GPU's memory.

    Args:
        graph: of the program.
        cores: its cores on the GPU.
    """

    def __init__(self, graph: Graph, cores: Sequence[DeviceCore]) -> None:
        self.cores = cores
        self.sizes = np.array([core.n_neurons for core in cores])
        self.room = max(core.room for core in cores)
        self.n_threads = max(core.n_threads for core in cores)
        most_spikes = np.array([core.model.most_spikes for core in cores])
        self.n_pending = int(most_spikes.sum())
        constants = np.concatenate([core.constants for core in cores], dtype=DEVICE_CORE)
        constants["first_neuron"], constants["pending"] = _starts(self.sizes), _starts(most_spikes)
        weights = [core.model.weights for core in cores]
        n_fields = [len(core.fields) for core in cores]
        fields = np.concatenate([core.fields for core in cores], dtype=FIELD)
        fields["weight"] += np.repeat(_starts([len(w) for w in weights]), n_fields)
        edges, edge_ends = _edges(graph, _starts(n_fields))
        tables = (edges, edge_ends, constants, fields, np.concatenate(weights))
        self.tables = tuple(map(upload, tables))

    def bytes_per_sample(self, *, with_times: bool) -> int:
        """Return how much of the GPU's memory the neurons and spikes of one sample take."""
        state_and_count, address, address_and_time = 2 + 8, 4, 4 + 8
        room = self.room if with_times else 1
        return (
            int(self.sizes.sum()) * state_and_count
            + self.n_pending * address
            + len(self.cores) * room * address_and_time
            + MOST_FRAMES * FRAME.itemsize
        )


class GraphPassage:
    """The neurons of many samples on a GPU; each walks the graph of its cores depth first.

    The kernel is started once for all samples and all cores, and again while one of them had
    no room for the spikes that are kept.

    Args:
        graph: of the program on the GPU.
        n_samples: how many samples play.
        with_times: keep the spikes, each with its time.
    """

    def __init__(self, graph: DeviceGraph, n_samples: int, *, with_times: bool) -> None:
        self._graph, self._with_times = graph, with_times
        total, n_cores = int(graph.sizes.sum()) * n_samples, len(graph.cores)
        self._state, self._counts = allocate(total, np.int16), allocate(total, np.int64)
        starts = _starts(graph.sizes) * n_samples
        self.cores = [
            DeviceNeurons(
                core,
                self._state[start : start + n_samples * core.n_neurons].reshape(n_samples, -1),
                self._counts[start : start + n_samples * core.n_neurons].reshape(n_samples, -1),
            )
            for core, start in zip(graph.cores, starts.tolist(), strict=True)
        ]
        room = (n_cores, n_samples, graph.room if with_times else 1)
        self._pending = allocate((n_samples, graph.n_pending), np.int32)
        self._spikes, self._times = allocate(room, np.int32), allocate(room, np.int64)

    def run(self, queue: DeviceQueue) -> Iterator[tuple[int, DeviceQueue]]:
        """Run events of the input through all cores; see `DevicePassage.run`."""
        n_samples, n_cores = len(queue.first), len(self.cores)
        depths = (queue.lengths > 0).astype(np.int64)
        frames = np.zeros((n_samples, MOST_FRAMES), FRAME)
        frames["n_spikes"][:, 0] = queue.lengths
        events = (queue.codes, queue.times, int(self._with_times), upload(queue.first))
        while depths.any():
            tallies = np.zeros((n_samples, n_cores), TALLY)
            tallies["n_fired"] = np.column_stack([core.seen for core in self.cores])
            on_device = upload(depths), upload(frames), upload(tallies)
            launch(
                integrate_depth_first, n_samples, self._graph.n_threads, *events,
                *self._graph.tables, self._state, self._counts, self._pending, self._spikes,
                self._times, *on_device,
            )  # fmt: skip
            depths, frames, tallies = (array.copy_to_host() for array in on_device)
            for index, core in enumerate(self.cores):
                core.seen[:] = tallies["n_fired"][:, index]
                if self._with_times:
                    yield index, self._kept_spikes(index, tallies["n_kept"][:, index])

    def _kept_spikes(self, index: int, n_spikes: np.ndarray) -> DeviceQueue:
        n_samples, room = len(n_spikes), self._graph.room
        first = (index * n_samples + np.arange(n_samples)) * room
        return DeviceQueue(self._spikes.reshape(-1), self._times.reshape(-1), first, n_spikes)


def _starts(lengths: Any) -> np.ndarray:
    """Return where each of several tables begins when they lie one after the other."""
    return np.cumsum(lengths) - lengths


def _edges(graph: Graph, first_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each edge's core and first row of fields, by sender, and where senders' begin."""
    senders = [
        sorted(edges, key=lambda edge: edge.rank) for edges in (graph.edges[-1], *graph.edges[:-1])
    ]
    table = [(edge.target, first_rows[edge.target] + edge.offset) for e in senders for edge in e]
    # never empty
    return np.array([*table, (0, 0)], EDGE), np.cumsum([0, *map(len, senders)])
