"""Queues of spikes on their way, and the order in which several of them arrive."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Queue", "concatenate_queues", "merge_queues"]


@dataclass(frozen=True, eq=False)
class Queue:
    """Spikes in order, as columns of equal length; most runs need the first column alone.

    Args:
        codes: `(n,) int32`, addresses in the sender's map, or rows of the receiver's routes.
        times: `(n,) int64`, µs, of the input event that each spike goes back to.
        moments: `(n,) float64`, µs, when each spike may set out, under a model of time.
        path: `(n, depth) int32`, where each stands in the depth-first order of its chunk of
            input events: compared from left to right.
    """

    codes: np.ndarray
    times: np.ndarray | None = None
    moments: np.ndarray | None = None
    path: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def is_bare(self) -> bool:
        """Whether the queue holds codes alone."""
        return self.times is None and self.moments is None and self.path is None

    def take(self, index: np.ndarray | slice) -> Queue:
        """Return the spikes that `index` selects, in its order."""
        return self.follow(index, np.ascontiguousarray(self.codes[index]))

    def follow(self, index: np.ndarray | slice, codes: np.ndarray) -> Queue:
        """Return spikes with `codes`, each caused by the event of this queue at `index`."""
        return Queue(
            codes,
            None if self.times is None else self.times[index],
            None if self.moments is None else np.ascontiguousarray(self.moments[index]),
            None if self.path is None else self.path[index],
        )

    def numbered(self) -> Queue:
        """Return the queue with each spike's place in it at the end of its path."""
        if self.path is None:
            return self
        place = np.arange(len(self), dtype=np.int32)
        return replace(self, path=np.column_stack((self.path, place)))

    def step(self, rank: int, offset: int) -> Queue:
        """Return the queue as it arrives at a destination.

        Args:
            rank: when the destination is served, 0 before 1.
            offset: where the routes of this sender begin at the receiver.
        """
        codes = self.codes + np.int32(offset) if offset else self.codes
        if self.path is None:
            return replace(self, codes=codes)
        ranks = np.full(len(self), rank, np.int32)
        return replace(self, codes=codes, path=np.column_stack((self.path, ranks)))


def concatenate_queues(queues: Sequence[Queue]) -> Queue:
    """Return the queues, of which there is at least one, one after the other, copied."""
    depth = max(0 if queue.path is None else queue.path.shape[1] for queue in queues)
    return Queue(
        np.concatenate([queue.codes for queue in queues]),
        _joined([queue.times for queue in queues]),
        _joined([queue.moments for queue in queues]),
        _joined([_padded(queue.path, depth) for queue in queues]),
    )


def merge_queues(queues: Sequence[Queue], n_senders: int) -> Queue:
    """Return the spikes of several senders in the order in which they would arrive depth-first.

    A spike's path lists, from the input event on, its place among the spikes of its core and
    the place of its destination among the sender's. Depth-first processing visits the spikes
    in the lexicographic order of their paths. No path to a core is the beginning of another
    one to the same core, since no core reaches itself: so paths of different length compare
    well when padded. A core with one sender takes the spikes as they come.

    Args:
        queues: from senders that sent something, at least one.
        n_senders: how many could have sent.
    """
    if n_senders == 1:
        return queues[0]
    merged = concatenate_queues(queues)
    if merged.path is None:
        return merged
    # lexsort takes its first key last
    return merged.take(np.lexsort(merged.path.T[::-1]))


def _joined(columns: Sequence[np.ndarray | None]) -> np.ndarray | None:
    present = [column for column in columns if column is not None]
    return np.concatenate(present) if len(present) == len(columns) else None


def _padded(path: np.ndarray | None, depth: int) -> np.ndarray | None:
    return None if path is None else np.pad(path, ((0, 0), (0, depth - path.shape[1])))
