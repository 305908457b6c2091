"""Measure the twin on a GPU against the twin on the CPU, after comparing their spikes.

    python benchmarks/bench_twin_gpu.py [--json FILE] [--repeats N] [--samples 1 16 256 4096]

The network is r3c1 of bench_twin.py, with samples of 4000 random events in 300 ms. First both
devices play the same samples, and every spike, count and potential is compared. Then they take
turns. Figures are medians of wall time, which includes copies to and from the GPU; kernels are
compiled before. The CPU plays on all its processors, and at most 64 samples, because its time
grows with their number. The exit code is 2 if there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from bench_twin import N_BINS, N_EVENTS, print_figures, r3c1, random_events

from speckflex.analysis.synops import measure_synops
from speckflex.boards.twin import Twin
from speckflex.errors import BoardNotFoundError

if TYPE_CHECKING:
    from speckflex.program.program import Program

MOST_ON_CPU, COMPARED = 64, 16


def check_same(program: Program, samples: list[np.ndarray], devices: dict[str, Twin]) -> float:
    """Return the SynOps of a sample; exit if a spike, count or potential differs."""
    recordings = {name: twin.play(samples) for name, twin in devices.items()}
    expected, found = recordings["cpu"], recordings["cuda"]
    for layer in range(len(program.cores)):
        same = np.array_equal(expected.counts(layer), found.counts(layer)) and np.array_equal(
            devices["cpu"].read_neurons(layer), devices["cuda"].read_neurons(layer)
        )
        for sample in range(len(samples)):
            same &= np.array_equal(expected.events(layer, sample), found.events(layer, sample))
        if not same:
            sys.exit(f"layer {layer}: the GPU's spikes differ from the CPU's")
    layers = measure_synops(program, expected, samples)
    return sum(layer.total for layer in layers) / len(samples)


def seconds(twin: Twin, samples: list[np.ndarray], *, keep_events: bool) -> float:
    """Return the wall time of one play."""
    started = time.perf_counter()
    twin.play(samples, keep_events=keep_events)
    return time.perf_counter() - started


def measure(devices: dict[str, Twin], n_samples: int, repeats: int, synops: float) -> Any:
    """Return the speeds of both devices, which take turns."""
    rng = np.random.default_rng(4)
    samples = [random_events(rng, (2, 34, 34), N_EVENTS, N_BINS * 1000) for _ in range(n_samples)]
    played = {"cpu": samples[:MOST_ON_CPU], "cuda": samples}
    times: dict[tuple[str, bool], list[float]] = {}
    for _ in range(repeats):
        for name, twin in devices.items():
            for keep_events in (False, True):
                taken = seconds(twin, played[name], keep_events=keep_events)
                times.setdefault((name, keep_events), []).append(taken)
    return {
        f"{name}, {'events kept' if keep_events else 'counts'}": {
            "samples_per_second": len(played[name]) / statistics.median(taken),
            "synops_per_second": synops * len(played[name]) / statistics.median(taken),
            "slowest_over_fastest": max(taken) / min(taken),
        }
        for (name, keep_events), taken in times.items()
    }


def main() -> int:
    """Measure and print the figures; return 2 if there is no GPU."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--repeats", type=int, default=7, help="plays of each kind (default: 7)")
    parser.add_argument("--samples", type=int, nargs="+", default=[1, 16, 256, 4096])
    options = parser.parse_args()
    try:
        devices = {"cpu": Twin(), "cuda": Twin(device="cuda")}
    except BoardNotFoundError as error:
        print(f"nothing measured: {error}")
        return 2
    program = r3c1()
    for twin in devices.values():
        twin.load(program)
    rng = np.random.default_rng(5)
    # samples of unequal length, one of them empty
    sizes = [*range(0, N_EVENTS, N_EVENTS // COMPARED)][:COMPARED]
    samples = [random_events(rng, (2, 34, 34), size, N_BINS * 1000) for size in sizes]
    check_same(program, samples, devices)
    whole = [random_events(rng, (2, 34, 34), N_EVENTS, N_BINS * 1000) for _ in range(COMPARED)]
    synops = check_same(program, whole, devices)
    results: dict[str, Any] = {"same_spikes": True, "synops_per_sample": synops}
    for n_samples in options.samples:
        results[f"{n_samples} samples"] = measure(devices, n_samples, options.repeats, synops)
    print_figures(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
