"""Queues of spikes on their way to one core, in the order in which they arrive there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.boards.settings import EdgeSpikes
    from speckflex.program import Destination, Shape

__all__ = ["Queue", "concatenate_queues", "merge_queues", "send"]


@dataclass(frozen=True, eq=False)
class Queue:
    """Spikes in order, as columns of equal length.

    Args:
        cause: `(n,) int32`, index of the input event that each spike goes back to.
        channels: `(n,) int32`.
        rows: `(n,) int32`, y.
        columns: `(n,) int32`, x.
        path: `(n, depth) int32`, where the spike stands in the depth-first order of its
            input chunk, compared from left to right; None where no core merges queues.
    """

    cause: np.ndarray
    channels: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    path: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.cause)

    def take(self, index: np.ndarray) -> Queue:
        """Return the spikes that `index` (integers or a mask) selects, in its order."""
        path = None if self.path is None else self.path[index]
        return Queue(
            self.cause[index], self.channels[index], self.rows[index], self.columns[index], path
        )


def send(
    queue: Queue, destination: Destination, rank: int, shape: Shape, edge_spikes: EdgeSpikes
) -> Queue:
    """Return what of a sender's spikes arrives at one destination.

    Args:
        queue: the sender's spikes.
        destination: where they go.
        rank: when this destination is served, 0 before 1.
        shape: (channel, y, x) of the sender's map, before pooling.
        edge_spikes: what becomes of spikes beyond the last whole pooling window.
    """
    pooling = destination.pooling
    if pooling > 1 and edge_spikes == "drop":
        whole_y, whole_x = shape[1] // pooling * pooling, shape[2] // pooling * pooling
        if (whole_y, whole_x) != shape[1:]:
            queue = queue.take((queue.rows < whole_y) & (queue.columns < whole_x))
    path = queue.path
    if path is not None:
        path = np.column_stack((path, np.full(len(queue), rank, np.int32)))
    return Queue(
        queue.cause,
        queue.channels + np.int32(destination.feature_shift)
        if destination.feature_shift
        else queue.channels,
        queue.rows // pooling if pooling > 1 else queue.rows,
        queue.columns // pooling if pooling > 1 else queue.columns,
        path,
    )


def concatenate_queues(queues: Sequence[Queue]) -> Queue:
    """Return the queues one behind the other."""
    if len(queues) == 1:
        return queues[0]
    depth = max((queue.path.shape[1] for queue in queues if queue.path is not None), default=0)
    return Queue(
        np.concatenate([queue.cause for queue in queues]),
        np.concatenate([queue.channels for queue in queues]),
        np.concatenate([queue.rows for queue in queues]),
        np.concatenate([queue.columns for queue in queues]),
        np.concatenate([_padded(queue.path, depth) for queue in queues if queue.path is not None])
        if depth
        else None,
    )


def merge_queues(queues: Sequence[Queue]) -> Queue:
    """Return the spikes of several senders in the order in which they would arrive depth-first.

    A spike's path lists, from the input event on, its place among the spikes that one event
    caused and its place among the destinations. Depth-first processing visits the spikes in
    the lexicographic order of their paths. No path to a core is the beginning of another one,
    since no core reaches itself, so paths of different length compare well when padded.
    """
    merged = concatenate_queues(queues)
    if len(queues) == 1 or merged.path is None:
        return merged
    return merged.take(np.lexsort(merged.path.T[::-1]))


def _padded(path: np.ndarray, depth: int) -> np.ndarray:
    return np.pad(path, ((0, 0), (0, depth - path.shape[1])))
