"""Play a stream of 100 million events in blocks and print the most memory the process held.

python benchmarks/bench_memory.py [--events N]
"""

from __future__ import annotations

import argparse
import resource
import time
from typing import TYPE_CHECKING

import numpy as np
from bench_twin import calibrated

from speckflex.boards.twin import Twin

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 1_000_000


def blocks_of(events: np.ndarray, n_events: int) -> Iterator[np.ndarray]:
    """Yield blocks of events, one second of a stream after the other."""
    block = np.concatenate([events] * (BLOCK // len(events) + 1))[:BLOCK]
    for first in range(0, n_events, BLOCK):
        yield block[: n_events - first]


def main() -> None:
    """Play the stream through 3C1FC."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000_000)
    options = parser.parse_args()
    program, events = calibrated("3C1FC, 34x34")
    with Twin() as twin:
        twin.load(program)
        started = time.process_time()
        recording = twin.play_stream(blocks_of(events, options.events))
        seconds = time.process_time() - started
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{recording.samples[0].accepted} events, {seconds:.1f} s of processor, {most:.0f} MiB")


if __name__ == "__main__":
    main()
