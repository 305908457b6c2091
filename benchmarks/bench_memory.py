"""Measure the memory that a long stream takes on the twin: 100 million events, in blocks.

    python benchmarks/bench_memory.py [--events N] [--flood] [--json FILE]

With --flood the stream has 100 events instead. They go into layers of 40 neurons with a skip
connection, in which every neuron fires at each event.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path
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
FLOOD_EVENTS, FLOOD_NEURONS = 100, 40  # neurons: in each layer


def blocks_of(events: np.ndarray, n_events: int) -> Iterator[np.ndarray]:
    """Yield blocks of events, as many as a stream of that length has."""
    block = np.concatenate([events] * (BLOCK // len(events) + 1))[:BLOCK]
    for first in range(0, n_events, BLOCK):
        yield block[: n_events - first]


def flood() -> tuple[Program, np.ndarray]:
    """Return four layers whose neurons fire at each event, the third with two senders."""
    targets = ((1, 2), (2,), (3,), ())
    cores = [
        Core(
            f"layer{index}",
            np.full((FLOOD_NEURONS, FLOOD_NEURONS if index else 1, 1, 1), 127),
            1,
            -1,
            (FLOOD_NEURONS if index else 1, 1, 1),
            destinations=tuple(map(Destination, own)),
        )
        for index, own in enumerate(targets)
    ]
    events = make_events(np.arange(FLOOD_EVENTS), *np.zeros((3, FLOOD_EVENTS), np.int64))
    return Program(tuple(cores), InputStage((1, 1, 1)), chip="unbounded"), events


def main() -> None:
    """Play the stream through 3C1FC, or the flood."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=100_000_000, help="(default: 100 million)")
    parser.add_argument("--flood", action="store_true", help="100 events that make many spikes")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
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
        f" {seconds:.1f} s of processor time, at most {most:.0f} MiB"
    )
    if options.json:
        figures = {"processor_seconds": seconds, "most_memory_mib": most}
        options.json.write_text(json.dumps(figures), encoding="utf-8")


if __name__ == "__main__":
    main()
