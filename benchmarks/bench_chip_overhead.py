"""Measure how much longer a devkit takes for a sample than the sample itself lasts.

    python benchmarks/bench_chip_overhead.py [BOARD] [--samples N] [--events N ...] [--json FILE]

The virtual devkit runs in real time here, so its figures are those of the host's side: resetting
and verifying the neurons, writing events, waiting for silence, reading. On a chip, USB and
samna add to them. For comparison: sinabs 3.1.3 waits about 1.6 s for a sample in the same places
(its `reset_states` sleeps for 1 s, its `hw_forward` polls every 0.1 s).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex.boards import open_board
from speckflex.events.streams import make_events
from speckflex.program.program import Program
from speckflex.program.records import Core, Destination, InputStage

if TYPE_CHECKING:
    from speckflex.boards import Board

SHAPE = (2, 34, 34)
LENGTH = 300_000  # µs, about an N-MNIST recording


def make_program() -> Program:
    """Return four layers of the size that N-MNIST networks have."""
    rng = np.random.default_rng(0)

    def weights(out: int, channels: int, kernel: int) -> np.ndarray:
        return rng.integers(-60, 62, (out, channels, kernel, kernel))

    def core(index: int, values: np.ndarray, shape: tuple[int, int, int], **changes: Any) -> Core:
        targets = (Destination(index + 1, 2),) if index < 3 else ()
        return Core(
            f"layer{index}", values, 200, -200, shape, chip_core=2 + index, destinations=targets,
            **changes,
        )  # fmt: skip

    cores = (
        core(0, weights(8, 2, 3), SHAPE, stride=(2, 2), padding=(1, 1)),
        core(1, weights(16, 8, 3), (8, 8, 8), padding=(1, 1)),
        core(2, weights(16, 16, 3), (16, 4, 4), padding=(1, 1)),
        core(3, weights(10, 16, 2), (16, 2, 2)),
    )
    return Program(cores, InputStage(SHAPE))


def make_sample(n_events: int, seed: int) -> np.ndarray:
    """Return events spread over the sample's length."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, LENGTH, n_events))
    times[-1] = LENGTH
    return make_events(times, *(rng.integers(0, side, n_events) for side in SHAPE[::-1]))


def measure(board: Board, n_events: int, n_samples: int, *, reset: bool) -> dict[str, Any]:
    """Return the overheads of samples with as many events, and what was read, late and lost."""
    overheads, read, late, lost = [], 0, 0, 0
    for seed in range(n_samples):
        sample = make_sample(n_events, seed)
        started = time.perf_counter()
        recording = board.play(sample, reset=reset)
        overheads.append(time.perf_counter() - started - LENGTH / 1e6)
        read += recording.samples[0].read
        late += int(recording.provenance.settings["late_events"])
        lost += recording.lost_events
    return {
        "events": n_events,
        "reset": "yes" if reset else "no",
        "spikes_read": read / n_samples,
        "median_overhead_s": statistics.median(overheads),
        "worst_overhead_s": max(overheads),
        "late": late,
        "lost": lost,
    }


def main() -> None:
    """Measure every number of events, with and without reset, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("board", nargs="?", default="virtual:speck2e")
    parser.add_argument("--samples", type=int, default=5, help="of each kind (default: 5)")
    parser.add_argument("--events", type=int, nargs="+", default=[1_000, 5_000, 20_000])
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    settings = {"speed": 1.0} if options.board.startswith("virtual") else {}
    print(f"board {options.board}, {options.samples} samples of {LENGTH / 1e6:.1f} s each")
    print("events/sample  spikes read/sample  reset  median overhead s  worst s  late  lost")
    results = []
    with open_board(options.board, **settings) as board:
        board.load(make_program())
        for n_events in options.events:
            for reset in (True, False):
                row = measure(board, n_events, options.samples, reset=reset)
                results.append(row)
                print(
                    f"{n_events:13}  {row['spikes_read']:18.0f}  {row['reset']:5}"
                    f"  {row['median_overhead_s']:17.4f}  {row['worst_overhead_s']:7.4f}"
                    f"  {row['late']:4}  {row['lost']:4}"
                )
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
