"""The order in which the spikes of several senders arrive at one core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Queue", "merge_queues"]


@dataclass(frozen=True, eq=False)
class Queue:
    """Spikes on their way, in order.

    Args:
        codes: `(n,) int32`, addresses, or rows of the receiver's routes.
        path: `(n, depth) int32`, where each stands in the depth-first order of its chunk of
            input events: compared from left to right. The first column is the input event.
    """

    codes: np.ndarray
    path: np.ndarray

    def step(self, rank: int, offset: int) -> Queue:
        """Return the queue as it arrives at a destination.

        Args:
            rank: when the destination is served, 0 before 1.
            offset: where the routes of this sender begin at the receiver.
        """
        ranks = np.full(len(self.codes), rank, np.int32)
        return Queue(self.codes + np.int32(offset), np.column_stack((self.path, ranks)))


def merge_queues(queues: Sequence[Queue]) -> Queue:
    """Return the spikes of several senders in the order in which they would arrive depth-first.

    A spike's path lists, from the input event on, its place among the spikes of its core and
    the place of its destination among the sender's. Depth-first processing visits the spikes
    in the lexicographic order of their paths. No path to a core is the beginning of another
    one to the same core, since no core reaches itself: so paths of different length compare
    well when padded.
    """
    if len(queues) == 1:
        return queues[0]
    depth = max(queue.path.shape[1] for queue in queues)
    paths = [np.pad(queue.path, ((0, 0), (0, depth - queue.path.shape[1]))) for queue in queues]
    codes, path = np.concatenate([queue.codes for queue in queues]), np.concatenate(paths)
    # lexsort takes its first key last
    order = np.lexsort(path.T[::-1])
    return Queue(codes[order], path[order])
