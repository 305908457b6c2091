"""Play a stream of 100 million events in blocks and print the most memory the process held.

python benchmarks/bench_memory.py [--events N] [--flood]

With --flood it is 100 events instead, into layers of 40 neurons with a skip that all fire always.
"""

from __future__ import annotations

import argparse
import resource
import time
from typing import TYPE_CHECKING

import numpy as np
from bench_twin import calibrated

from speckflex.boards.twin import Twin
from speckflex.events.streams import make_events
from speckflex.program.program import Program
from speckflex.program.records import Core, Destination, InputStage

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 1_000_000
FLOODING, FLOODED = 100, 40  # events, neurons in a layer


def blocks_of(events: np.ndarray, n_events: int) -> Iterator[np.ndarray]:
    """Yield blocks of events, one second of a stream after the other."""
    block = np.concatenate([events] * (BLOCK // len(events) + 1))[:BLOCK]
    for first in range(0, n_events, BLOCK):
        yield block[: n_events - first]


def flood() -> tuple[Program, np.ndarray]:
    """Return four layers whose neurons fire at each event, the third with two senders."""
    targets = ((1, 2), (2,), (3,), ())
    cores = [
        Core(
            f"layer{index}",
            np.full((FLOODED, FLOODED if index else 1, 1, 1), 127),
            1,
            -1,
            (FLOODED if index else 1, 1, 1),
            destinations=tuple(map(Destination, own)),
        )
        for index, own in enumerate(targets)
    ]
    events = make_events(np.arange(FLOODING), *np.zeros((3, FLOODING), np.int64))
    return Program(tuple(cores), InputStage((1, 1, 1)), chip="unbounded"), events


def main() -> None:
    """Play the stream through 3C1FC, or the flood."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000_000)
    parser.add_argument("--flood", action="store_true")
    options = parser.parse_args()
    program, events = flood() if options.flood else calibrated("3C1FC, 34x34")
    blocks = iter([events]) if options.flood else blocks_of(events, options.events)
    with Twin() as twin:
        twin.load(program)
        started = time.process_time()
        recording = twin.play_stream(blocks)
        seconds = time.process_time() - started
    spikes = sum(int(layer.counts.sum()) for layer in recording.layers)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{recording.samples[0].accepted} events, {spikes} spikes,"
        f" {seconds:.1f} s of processor, {most:.0f} MiB"
    )


if __name__ == "__main__":
    main()
