"""A core that runs by itself, on whole queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speckflex.kernels.integrate import LANES, CoreArrays, integrate
from speckflex.twin._engines import Engines
from speckflex.twin._queues import Queue
from speckflex.twin.cores import MASKS_PER_FLUSH, SPIKES_PER_CALL, zeros_apart

if TYPE_CHECKING:
    from collections.abc import Iterator

    from speckflex.twin.cores import Emission, RunningCore

__all__ = ["QueueRunner"]


class QueueRunner:
    """Runs a core on queues, in which one event may overtake others.

    Attributes:
        arrays: what the kernels need of the core.

    Args:
        core: whose potentials and counts it changes.
    """

    def __init__(self, core: RunningCore) -> None:
        self._core, self._model = core, core.model
        model, settings = core.model, core.model.settings
        pending = zeros_apart(model.most_masks + MASKS_PER_FLUSH, np.uint64)
        # built once, and of arrays alone: numba takes long to take in a single record
        self.arrays = CoreArrays(
            model.routes, model.weights, core.memory, model.layout, model.rule, 0, pending
        )
        self._spikes = zeros_apart(max(SPIKES_PER_CALL, model.most_spikes) + LANES, np.int32)
        self._generator = np.random.default_rng(settings.seed)
        self._engines = None
        if settings.engine_times is not None and model.parallel:
            self._engines = Engines(model.updates_per_route(), settings.engine_times)

    def begin_sample(self, sample: int) -> None:
        """Begin a sample, whose place among all seeds what is random; nothing waits."""
        if self._model.overtaking > 1:
            self._generator = np.random.default_rng((self._model.settings.seed, sample))
        if self._engines is not None:
            self._engines.reset()

    def run(self, queue: Queue) -> Iterator[Emission]:
        """Run events through the core and yield its spikes, block by block."""
        if self._model.parallel:
            # what goes nowhere takes no engine's time
            queue = self._arriving(queue)
        if self._model.overtaking > 1:
            places = self._generator.uniform(0, self._model.overtaking, len(queue))
            queue = queue.take(np.argsort(places + np.arange(len(queue)), kind="stable"))
        begun, ends = None, np.empty(len(queue), np.int32)
        if self._engines is not None and queue.moments is not None:
            begun = np.arange(len(queue))
            self._engines.take(queue.codes, queue.moments)
        done = 0
        while done < len(queue):
            start = done
            done, n_spikes = self._integrate(queue.codes, start, begun, ends)
            if n_spikes:
                yield self._emit(queue, start, begun, ends[start:done])

    def _arriving(self, queue: Queue) -> Queue:
        reaches = self._model.reaches[queue.codes]
        return queue if reaches.all() else queue.take(reaches)

    def _integrate(
        self, codes: np.ndarray, start: int, begun: np.ndarray | None, ends: np.ndarray
    ) -> tuple[int, int]:
        """Run the kernel; return how many events are done, and the spikes of this call.

        Args:
            codes: `(n,) int32`.
            start: how many events are done.
            begun: `(n,) int64`, the events in the order they were begun, changed in place; None
                where that is their own order.
            ends: `(n,) int32`, written: for each of them, where its spikes end.
        """
        if self._engines is not None and begun is not None:
            return self._engines.run(codes, start, begun, self.arrays, self._spikes, ends)
        return integrate(codes, start, self.arrays, self._spikes, ends)

    def _emit(
        self, queue: Queue, start: int, begun: np.ndarray | None, ends: np.ndarray
    ) -> Emission:
        addresses = self._spikes[: ends[-1]]
        if queue.is_bare:
            return self._core.send(Queue(addresses))
        events = start + np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
        return self._core.send(queue.follow(events if begun is None else begun[events], addresses))
