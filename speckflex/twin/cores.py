"""One core of the twin: its constants in the kernel's layout, and its potentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speckflex.kernels.integrate import integrate
from speckflex.twin.queues import Queue, concatenate_queues

if TYPE_CHECKING:
    from speckflex.boards.settings import TwinSettings
    from speckflex.program import Core

__all__ = ["CoreModel", "RunningCore"]

# Room for the spikes of one kernel call: 1 MiB, small enough to stay in the cache.
SPIKES_PER_CALL = 2**16


class CoreModel:
    """What never changes while a core runs; shared by all threads."""

    def __init__(self, core: Core, settings: TwinSettings) -> None:
        self.core = core
        self.shape = core.output_shape
        self.weights = np.ascontiguousarray(core.weights.transpose(1, 2, 3, 0))
        self.geometry = np.array((*core.stride, *core.padding), np.int64)
        self.rule = np.array(
            (
                core.threshold_high,
                core.threshold_low,
                core.return_to_zero,
                settings.overflow == "wrap",
            ),
            np.int64,
        )
        self.output_order = settings.output_order
        channels, rows, columns = self.shape
        self.initial = np.zeros((rows, columns, channels), np.int16)
        if core.initial_state is not None:
            self.initial[:] = core.initial_state.transpose(1, 2, 0)
        kernel_y, kernel_x = core.weights.shape[2:]
        self.most_spikes = (
            min(-(-kernel_y // core.stride[0]), rows)
            * min(-(-kernel_x // core.stride[1]), columns)
            * channels
        )


class RunningCore:
    """A core with its potentials and spike counts, for one sample at a time.

    Attributes:
        state: `(y, x, channel) int16`, potentials.
        counts: `(y, x, channel) int64`, spikes since the last `start`.
    """

    def __init__(self, model: CoreModel, spikes: np.ndarray) -> None:
        self.model = model
        self.state = model.initial.copy()
        self.counts = np.zeros(self.state.shape, np.int64)
        self._spikes = spikes
        self._fired = np.empty(model.shape[0], np.uint8)

    def reset(self) -> None:
        """Set every potential to its initial value."""
        self.state[:] = self.model.initial

    def run(self, queue: Queue) -> Queue:
        """Run a queue of events through the core and return its spikes in order."""
        model, spikes = self.model, self._spikes
        blocks, done = [], 0
        while True:
            done, n_spikes = integrate(
                queue.channels,
                queue.rows,
                queue.columns,
                done,
                model.weights,
                self.state,
                model.geometry,
                model.rule,
                self._fired,
                spikes,
            )
            blocks.append(self._block(queue, spikes[:n_spikes]))
            if done >= len(queue):
                break
        output = concatenate_queues(blocks)
        if queue.path is None:
            return output
        place = np.arange(len(output), dtype=np.int32)
        return Queue(
            output.cause,
            output.channels,
            output.rows,
            output.columns,
            np.column_stack((output.path, place)) if output.path is not None else None,
        )

    def _block(self, queue: Queue, spikes: np.ndarray) -> Queue:
        """Copy spikes out of the kernel's buffer, in the order they leave the core."""
        if self.model.output_order != "yxc" and len(spikes):
            spikes = spikes[_order(spikes, self.model.output_order)]
        parent, channels, rows, columns = spikes.T.copy()
        np.add.at(self.counts, (rows, columns, channels), 1)
        return Queue(
            queue.cause[parent],
            channels,
            rows,
            columns,
            None if queue.path is None else queue.path[parent],
        )


def _order(spikes: np.ndarray, output_order: str) -> np.ndarray:
    columns = {"c": spikes[:, 1], "y": spikes[:, 2], "x": spikes[:, 3]}
    # lexsort takes its first key last
    return np.lexsort([columns[axis] for axis in reversed(output_order)] + [spikes[:, 0]])
