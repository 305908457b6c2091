"""Samples to play in threads, each with neurons of its own."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from speckflex.twin.machine import Machine

if TYPE_CHECKING:
    import numpy as np

    from speckflex.twin.outputs import SampleOutput

__all__ = ["PlayRequest", "play_parallel"]


@dataclass(frozen=True, eq=False)
class PlayRequest:
    """Samples to play, and what to keep of them.

    Args:
        samples: event arrays, checked.
        layers: positions of the monitored layers.
        keep_events: keep the spikes, not their counts alone.
    """

    samples: list[np.ndarray]
    layers: list[int]
    keep_events: bool


def play_parallel(
    request: PlayRequest, machines: list[Machine], threads: int
) -> list[SampleOutput]:
    """Return every sample's output, each played from the initial state.

    Args:
        request: the samples, at least one.
        machines: of one program, at least one; as many are added as there are threads, since
            one that has played is faster than a new one. The first will be the one that played
            the last sample.
        threads: how many samples run at the same time.
    """
    n_threads = min(threads, len(request.samples))
    machines += [Machine(machines[0].model) for _ in range(n_threads - len(machines))]
    outputs: dict[int, SampleOutput] = {}
    players: dict[int, Machine] = {}
    waiting, interrupt = iter(range(len(request.samples))), threading.Event()

    def play_on(own: Machine) -> None:
        # each index goes to one thread; the machine of the last sample gets no other after it
        for index in waiting:
            own.reset()
            outputs[index] = own.play(
                [request.samples[index]],
                request.layers,
                sample=index,
                keep_events=request.keep_events,
                stopped=interrupt.is_set,
            )
            players[index] = own

    with ThreadPoolExecutor(n_threads) as pool:
        try:
            others = [pool.submit(play_on, other) for other in machines[1:n_threads]]
            # this thread plays too, so that it need not wait for another thread to start
            play_on(machines[0])
            for other in others:
                other.result()
        except BaseException:
            # threads end at their next chunk, so that Ctrl-C returns promptly
            interrupt.set()
            pool.shutdown(wait=False, cancel_futures=True)
            # until then the other machines still play
            del machines[1:]
            raise
    n_samples = len(request.samples)
    machines.sort(key=lambda machine: machine is not players[n_samples - 1])
    return [outputs[index] for index in range(n_samples)]
