"""Measure the twin against sinabs' time-stepped forward, and against real time.

    python benchmarks/bench_twin.py [--json FILE] [--repeats N] [--parts r3c1 threads ...]

r3c1: conv 2->8 stride 2, 8->16, 16->16 on 17x17, linear 4624->10, random weights; samples of
4000 random events in 300 ms. sinabs runs the same integers in bins of 1 ms, 16 samples at once,
on two threads; the twin runs event by event, on one thread and on two. All take turns in one run.
Figures are medians of wall time, and of processor time, which other work on the machine hardly
changes.
threads: the time of one thread divided by that of two, for the same network with 16 and 64
samples. In turns with it two threads hash bytes, which shows how much the machine can gain at all.
networks: 3C1FC on 34x34, 4C2FC on 128x128 and VGGSNN on 128x128 with random weights, one thread,
with thresholds such that every layer sends about 0.7 spikes for each one that it receives.
small: the cost of a play of five events.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex.analysis.synops import measure_synops
from speckflex.boards.twin import Twin
from speckflex.events.streams import make_events
from speckflex.program.program import Program
from speckflex.program.records import Core, Destination, InputStage

if TYPE_CHECKING:
    from collections.abc import Callable

    from speckflex.recordings.recording import Recording

N_SAMPLES, N_EVENTS, N_BINS = 16, 4000, 300
REST = 0.05  # seconds
HASHED = bytes(2**24)
SPIKES_PER_SPIKE = 0.7
# layers as (channels, kernel, stride, padding, pooling towards the next)
NETWORKS: dict[str, tuple[tuple[int, int, int], int, int, list[tuple[int, ...]]]] = {
    "3C1FC, 34x34": (
        (2, 34, 34),
        1,
        13_000,
        [(8, 3, 2, 1, 1), (16, 3, 1, 1, 2), (16, 3, 1, 1, 2), (10, 4, 1, 0, 1)],
    ),
    "4C2FC, 128x128": (
        (2, 128, 128),
        2,
        100_000,
        [
            (8, 3, 2, 1, 2),
            (16, 3, 1, 1, 2),
            (32, 3, 1, 1, 2),
            (32, 3, 1, 1, 1),
            (64, 4, 1, 0, 1),
            (11, 1, 1, 0, 1),
        ],
    ),
    "VGGSNN, 128x128": (
        (2, 128, 128),
        4,
        20_000,
        [
            (64, 3, 1, 1, 1),
            (128, 3, 1, 1, 2),
            (256, 3, 1, 1, 1),
            (256, 3, 1, 1, 2),
            (512, 3, 1, 1, 1),
            (512, 3, 1, 1, 2),
            (512, 3, 1, 1, 1),
            (512, 3, 1, 1, 2),
            (10, 2, 1, 0, 1),
        ],
    ),
}


def random_events(
    rng: np.random.Generator, shape: tuple[int, int, int], n_events: int, duration: int
) -> np.ndarray:
    """Return events anywhere and at any time (µs)."""
    return make_events(
        np.sort(rng.integers(0, duration, n_events)),
        rng.integers(0, shape[2], n_events),
        rng.integers(0, shape[1], n_events),
        rng.integers(0, shape[0], n_events),
    )


def random_weights(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Return (out, in, ky, kx) weights of 8 bits, a little more positive than negative."""
    return np.clip(np.round(rng.normal(1, 40, shape)), -128, 127)


def r3c1() -> Program:
    """Return the reference net."""
    rng = np.random.default_rng(0)
    cores = []
    sizes = [(2, 34), (8, 17), (16, 17), (16, 17)]
    layers = [(8, 3, 2, 1), (16, 3, 1, 1), (16, 3, 1, 1), (10, 17, 1, 0)]
    for index, ((channels, side), (n_out, kernel, stride, padding)) in enumerate(
        zip(sizes, layers, strict=True)
    ):
        cores.append(
            Core(
                f"layer{index}",
                random_weights(rng, n_out, channels, kernel, kernel),
                127,
                -127,
                (channels, side, side),
                stride=(stride, stride),
                padding=(padding, padding),
                destinations=(Destination(index + 1),) if index < len(layers) - 1 else (),
            )
        )
    return Program(tuple(cores), InputStage((2, 34, 34)), chip="unbounded")


def sinabs_forward(program: Program, samples: list[np.ndarray]) -> Callable[[], None]:
    """Return a function that runs the program's integers in sinabs, in bins of 1 ms."""
    import sinabs.layers as sl
    import torch
    from torch import nn

    modules: list[nn.Module] = []
    for core in program.cores:
        out, channels, kernel, _ = core.weights.shape
        weights = torch.tensor(core.weights.astype(np.float32))
        layer = nn.Conv2d(channels, out, kernel, core.stride, core.padding, bias=False)
        layer.weight.data = weights
        if core.output_shape[1:] == (1, 1):
            linear = nn.Linear(weights[0].numel(), out, bias=False)
            linear.weight.data = weights.flatten(1)
            layer = nn.Sequential(nn.Flatten(), linear)
        neuron = sl.IAFSqueeze(
            batch_size=len(samples),
            spike_threshold=float(core.threshold_high),
            min_v_mem=float(core.threshold_low),
        )
        modules += [layer, neuron]
    network = nn.Sequential(*modules)
    frames = np.zeros((len(samples), N_BINS, *program.input.shape), np.float32)
    for index, events in enumerate(samples):
        np.add.at(frames[index], (events["t"] // 1000, events["p"], events["y"], events["x"]), 1)
    raster = torch.tensor(frames).flatten(0, 1)
    torch.set_num_threads(2)

    def forward() -> None:
        for module in modules[1::2]:
            module.reset_states()
        with torch.no_grad():
            network(raster)

    return forward


def seconds_of(call: Callable[[], Any]) -> tuple[float, float]:
    """Return the wall time and the processor time of one call, of all threads together."""
    wall, processor = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - processor


def median_seconds(times: list[tuple[float, float]]) -> tuple[float, float]:
    """Return the medians of wall and processor time."""
    wall, processor = zip(*times, strict=True)
    return statistics.median(wall), statistics.median(processor)


def measure_r3c1(repeats: int) -> dict[str, Any]:
    """Return samples and operations a second of sinabs and the twin, and their ratios."""
    rng, program = np.random.default_rng(1), r3c1()
    shape = program.input.shape
    samples = [random_events(rng, shape, N_EVENTS, N_BINS * 1000) for _ in range(N_SAMPLES)]
    twins = {f"twin, {threads} threads": Twin(threads=threads) for threads in (1, 2)}
    calls: dict[str, Callable[[], Any]] = {"sinabs, 2 threads": sinabs_forward(program, samples)}
    for name, twin in twins.items():
        twin.load(program)
        calls[name] = lambda twin=twin: twin.play(samples, keep_events=False)
        calls[f"{name}, events kept"] = lambda twin=twin: twin.play(samples)
    recording = twins["twin, 1 threads"].play(samples)
    total = sum(layer.total for layer in measure_synops(program, recording, samples))
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(repeats + 1):
        for name, call in calls.items():
            times[name].append(seconds_of(call))
            if name.startswith("sinabs"):
                # torch's threads spin for a while after their work and would slow the twin
                time.sleep(REST)
    # the first round warms caches up
    medians = {name: median_seconds(values[1:]) for name, values in times.items()}
    sinabs = medians["sinabs, 2 threads"]
    return {
        "synops_per_sample": total / N_SAMPLES,
        "spikes_per_sample": [float(layer.counts.sum()) / N_SAMPLES for layer in recording.layers],
        "runs": {
            name: {
                "samples_per_second": N_SAMPLES / wall,
                "samples_per_processor_second": N_SAMPLES / processor,
                "synops_per_second": None if name.startswith("sinabs") else total / wall,
                "times_sinabs": sinabs[0] / wall,
                "times_sinabs_by_processor_time": sinabs[1] / processor,
            }
            for name, (wall, processor) in medians.items()
        },
    }


def measure_threads(repeats: int) -> dict[str, Any]:
    """Return the time of one thread divided by the time of two, of the twin and of hashing."""
    rng, program = np.random.default_rng(1), r3c1()
    shape = program.input.shape
    samples = [random_events(rng, shape, N_EVENTS, N_BINS * 1000) for _ in range(4 * N_SAMPLES)]
    calls: dict[str, list[Callable[[], Any]]] = {"hashing": [partial(hash_in, n) for n in (1, 2)]}
    for n_samples, keep_events in itertools.product((N_SAMPLES, len(samples)), (False, True)):
        name = f"{n_samples} samples, {'events kept' if keep_events else 'counts'}"
        calls[name] = []
        for threads in (1, 2):
            twin = Twin(threads=threads)
            twin.load(program)
            play = partial(twin.play, samples[:n_samples], keep_events=keep_events)
            calls[name].append(play)
    times: dict[str, list[list[float]]] = {name: [[], []] for name in calls}
    for _ in range(repeats + 1):
        for name, pair in calls.items():
            for place, call in enumerate(pair):
                times[name][place].append(seconds_of(call)[0])
    return {
        name: statistics.median(one[1:]) / statistics.median(two[1:])
        for name, (one, two) in times.items()
    }


def hash_in(n_threads: int) -> None:
    """Hash the same bytes twice, in one thread or in two."""
    with ThreadPoolExecutor(n_threads) as pool:
        # hashing releases Python's lock
        list(pool.map(hashlib.sha256, [HASHED, HASHED]))


def calibrated(name: str) -> tuple[Program, np.ndarray]:
    """Return a network and one second of events, with thresholds that keep all layers active."""
    shape, pooling, rate, layers = NETWORKS[name]
    rng = np.random.default_rng(2)
    stage = InputStage(shape, pooling=(pooling, pooling))
    events = random_events(rng, shape, rate, 1_000_000)
    cores: list[Core] = []
    sent = stage.output_shape
    arriving = _pooled(events, pooling, stage.output_shape)
    for index, (n_out, kernel, stride, padding, pool) in enumerate(layers):
        weights = random_weights(rng, n_out, sent[0], kernel, kernel)
        core = Core(
            f"layer{index}", weights, 1, -1, sent, stride=(stride, stride), padding=(padding,) * 2
        )
        # the number of spikes falls as the threshold rises
        low, high = 1, 32767
        while high - low > max(1, low // 20):
            middle = (low + high) // 2
            counts = _alone(_with_threshold(core, middle), arriving, keep_events=False).counts()
            many = counts.sum() > SPIKES_PER_SPIKE * len(arriving)
            low, high = (middle, high) if many else (low, middle)
        core = _with_threshold(core, high)
        sent = (n_out, core.output_shape[1] // pool, core.output_shape[2] // pool)
        arriving = _pooled(_alone(core, arriving, keep_events=True).events(), pool, sent)
        last = index == len(layers) - 1
        cores.append(core if last else replace(core, destinations=(Destination(index + 1, pool),)))
    return Program(tuple(cores), stage, chip="unbounded"), events


def _with_threshold(core: Core, threshold: int) -> Core:
    return replace(core, threshold_high=threshold, threshold_low=-threshold)


def _alone(core: Core, events: np.ndarray, *, keep_events: bool) -> Recording:
    with Twin(threads=1) as twin:
        twin.load(Program((core,), InputStage(core.input_shape), chip="unbounded"))
        return twin.play(events, keep_events=keep_events)


def _pooled(events: np.ndarray, pooling: int, shape: tuple[int, int, int]) -> np.ndarray:
    y, x = events["y"] // pooling, events["x"] // pooling
    inside = (y < shape[1]) & (x < shape[2])
    return make_events(events["t"], x, y, events["p"])[inside]


def measure_networks(repeats: int) -> dict[str, Any]:
    """Return how many seconds of a stream each network plays per second."""
    results = {}
    for name in NETWORKS:
        program, events = calibrated(name)
        with Twin(threads=1) as twin:
            twin.load(program)
            recording = twin.play(events)
            total = sum(layer.total for layer in measure_synops(program, recording, [events]))
            run = lambda twin=twin, events=events: twin.play(events, keep_events=False)  # noqa: E731
            wall, processor = median_seconds([seconds_of(run) for _ in range(repeats)])
        results[name] = {
            "events_per_second_of_stream": len(events),
            "synops_per_second_of_stream": total,
            "spikes": [int(layer.counts.sum()) for layer in recording.layers],
            "real_time_factor": 1 / wall,
            "real_time_factor_by_processor_time": 1 / processor,
            "synops_per_processor_second": total / processor,
        }
    return results


def measure_small(repeats: int) -> dict[str, Any]:
    """Return the time of a short play, µs."""
    program = r3c1()
    events = random_events(np.random.default_rng(3), program.input.shape, 5, 1000)
    with Twin(threads=1) as twin:
        twin.load(program)
        run = lambda: twin.play(events, reset=False)  # noqa: E731
        wall, processor = median_seconds([seconds_of(run) for _ in range(50 * repeats)])
    return {"five_events_us": wall * 1e6, "five_events_processor_us": processor * 1e6}


def print_figures(results: dict[str, Any], prefix: str = "") -> None:
    """Print nested figures, one a line, after the names that lead to them."""
    for name, value in results.items():
        if isinstance(value, dict):
            print_figures(value, f"{prefix}{name} / ")
        else:
            shown = f"{value:.4g}" if isinstance(value, float) else value
            print(f"{prefix}{name}: {shown}")


PARTS = {
    "r3c1": measure_r3c1,
    "threads": measure_threads,
    "networks": measure_networks,
    "small": measure_small,
}


def main() -> None:
    """Measure the chosen parts and print their figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--repeats", type=int, default=7, help="runs of each call (default: 7)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    before = os.getloadavg()[0]
    results = {name: PARTS[name](options.repeats) for name in options.parts}
    print_figures(results)
    print(f"load of the machine: {before:.1f} before, {os.getloadavg()[0]:.1f} after")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
