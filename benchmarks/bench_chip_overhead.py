"""What playing a sample on a devkit adds to the sample's own length.

On the virtual devkit in real time, so the figures are of the host's side: resetting and verifying
the neurons, writing events, waiting for silence, reading. USB and the vendor's library come on
top on silicon. sinabs 3.1.3 waits about 1.6 s a sample in the same places (its `reset_states`
sleeps 1 s, its `hw_forward` polls every 0.1 s).

    python benchmarks/bench_chip_overhead.py [BOARD]
"""

import statistics
import sys
import time
from typing import Any

import numpy as np

from speckflex.boards import open_board
from speckflex.events.streams import make_events
from speckflex.program.program import Program
from speckflex.program.records import Core, Destination, InputStage

SHAPE = (2, 34, 34)
LENGTH = 300_000  # µs, about an N-MNIST recording
N_EVENTS = (1_000, 5_000, 20_000)
SAMPLES = 5


def program() -> Program:
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


def events(n: int, seed: int) -> np.ndarray:
    """Return n events spread over the sample's length."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, LENGTH, n))
    times[-1] = LENGTH
    return make_events(times, *(rng.integers(0, side, n) for side in SHAPE[::-1]))


def main() -> None:
    """Print the overhead by number of events and reset."""
    name = sys.argv[1] if len(sys.argv) > 1 else "virtual:speck2e"
    settings = {"speed": 1.0} if name.startswith("virtual") else {}
    print(f"board {name}, {SAMPLES} samples of {LENGTH / 1e6:.1f} s each")
    print("events/sample  spikes read/sample  reset  median overhead s  worst s  late  lost")
    with open_board(name, **settings) as board:
        board.load(program())
        for n in N_EVENTS:
            for reset in (True, False):
                overheads, read, late, lost = [], 0, 0, 0
                for seed in range(SAMPLES):
                    sample = events(n, seed)
                    started = time.perf_counter()
                    recording = board.play(sample, reset=reset)
                    overheads.append(time.perf_counter() - started - LENGTH / 1e6)
                    read += recording.samples[0].read
                    late += int(recording.provenance.settings["late_events"])
                    lost += recording.lost_events
                median, worst = statistics.median(overheads), max(overheads)
                print(
                    f"{n:13}  {read // SAMPLES:18}  {reset!s:5}  {median:17.4f}  {worst:7.4f}"
                    f"  {late:4}  {lost:4}"
                )


if __name__ == "__main__":
    main()
