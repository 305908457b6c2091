"""Many samples at once: threads, each with its own neurons."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING

from speckflex.twin.machine import Machine, MachineModel, SampleOutput

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Batch", "play_parallel"]


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples to play, and what to keep of them.

    Args:
        samples: event arrays, checked.
        layers: positions of the monitored layers.
        keep_events: keep the spikes, not their counts alone.
        interrupt: set to end all plays at their next chunk.
    """

    samples: list[np.ndarray]
    layers: list[int]
    keep_events: bool
    interrupt: threading.Event = field(default_factory=threading.Event)

    def play(self, machine: Machine, index: int, *, reset: bool = True) -> SampleOutput:
        """Play one of the samples on a machine."""
        if reset:
            machine.reset()
        return machine.play(
            [self.samples[index]],
            self.layers,
            sample=index,
            keep_events=self.keep_events,
            stopped=self.interrupt.is_set,
        )


def play_parallel(
    batch: Batch, model: MachineModel, machine: Machine, threads: int
) -> tuple[list[SampleOutput], Machine]:
    """Return every sample's output, and the machine that played the last one."""
    n_samples = len(batch.samples)
    idle: SimpleQueue[Machine] = SimpleQueue()
    idle.put(machine)
    for _ in range(min(threads, n_samples) - 1):
        idle.put(Machine(model))
    last: list[Machine] = []

    def play_one(index: int) -> SampleOutput:
        own = idle.get()
        output = batch.play(own, index)
        # the last sample's machine is kept as it is: no later sample waits for one
        if index == n_samples - 1:
            last.append(own)
        else:
            idle.put(own)
        return output

    with ThreadPoolExecutor(min(threads, n_samples)) as pool:
        try:
            outputs = list(pool.map(play_one, range(n_samples)))
        except BaseException:
            # threads end at their next chunk, so that Ctrl-C returns promptly
            batch.interrupt.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return outputs, last[0]
