"""Measure time and memory against size, each step in a process of its own, and how both grow.

    python benchmarks/bench_load.py [--spikes 1000000 10000000 100000000] [--samples 100 1000]
                                   [--json FILE]

Recordings of N spikes with times of their own are made up, saved, loaded, and compared with one
that differs in one spike. Small samples are deployed on the twin, without a torch network.
Memory is the most that the step adds to what lies in memory before it.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from speckflex.recordings.recording import Recording

SHAPE = (8, 64, 64)
EVENTS_OF_A_SAMPLE = 50


def made_up(n_spikes: int) -> Recording:
    """Return a recording of one layer and ten samples, with times of their own."""
    from speckflex.events.streams import make_events
    from speckflex.recordings.recording import LayerRecord, Provenance, Recording, SampleLog

    rng = np.random.default_rng(0)
    samples = []
    counts = np.zeros((10, *SHAPE), np.int64)
    for index in range(10):
        n = n_spikes // 10
        places = [rng.integers(0, side, n, dtype=np.int16) for side in SHAPE[::-1]]
        events = make_events(
            np.cumsum(rng.integers(1, 4, n, dtype=np.int8), dtype=np.int64), *places
        )
        codes = (events["p"].astype(np.int32) * SHAPE[1] + events["y"]) * SHAPE[2] + events["x"]
        counts[index] = np.bincount(codes, minlength=math.prod(SHAPE)).reshape(SHAPE)
        samples.append(events)
    log = SampleLog(1, 1, 1)
    layer = LayerRecord(0, "layer", counts, tuple(samples))
    return Recording((layer,), 1, (log,) * 10, Provenance("", "twin", "twin"))


def peak() -> int:
    """Return the most bytes that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return what a function returns, its seconds of processor time, and the MB that it added."""
    before, begin = peak(), time.process_time()
    result = work()
    return result, time.process_time() - begin, (peak() - before) / 2**20


def save(n_spikes: int, folder: Path) -> tuple[float, float]:
    """Save a recording."""
    recording = made_up(n_spikes)
    _, seconds, memory = timed(lambda: recording.save(folder / "a.h5"))
    return seconds, memory


def load(_: int, folder: Path) -> tuple[float, float]:
    """Load it."""
    from speckflex.recordings.recording import Recording

    _, seconds, memory = timed(lambda: Recording.load(folder / "a.h5"))
    return seconds, memory


def compare(_: int, folder: Path) -> tuple[float, float]:
    """Compare it with one that differs in one spike in the middle."""
    from dataclasses import replace

    from speckflex.recordings.compare import compare as compare_recordings
    from speckflex.recordings.recording import Recording

    one = Recording.load(folder / "a.h5")
    events = [sample.copy() for sample in one.layers[0].events or ()]
    events[5]["x"][len(events[5]) // 2] ^= 1
    other = replace(one, layers=(replace(one.layers[0], events=tuple(events)),))
    found, seconds, memory = timed(lambda: compare_recordings(one, other))
    divergence = found.layers[0].first_divergence
    if divergence is None or divergence.sample != 5:
        raise RuntimeError(f"the spike that differs was not found: {divergence}")
    return seconds, memory


def play(n_samples: int, _: Path) -> tuple[float, float]:
    """Deploy small samples on the twin, and write the folder."""
    from speckflex.boards.choosing import choose_board
    from speckflex.conversion.model import read_model
    from speckflex.data import EventDataset
    from speckflex.deployment.deploy import deploy
    from speckflex.events.streams import make_events

    with tempfile.TemporaryDirectory() as out:
        program().save(Path(out) / "a.speck")
        model = read_model(Path(out) / "a.speck", input_shape=None, chip="unbounded")
        rng = np.random.default_rng(0)
        times = np.arange(EVENTS_OF_A_SAMPLE) * 1000

        def read(_: int) -> np.ndarray:
            return make_events(times, *(rng.integers(0, 32, (2, len(times)))), times % 2)

        labels = np.arange(n_samples) % 10
        names = tuple(map(str, range(10)))
        samples = EventDataset(
            "made up", (2, 32, 32), names, labels, True, tuple(range(n_samples)), read
        )
        chosen = choose_board("twin")
        _, seconds, memory = timed(lambda: deploy(model, samples, chosen).save(Path(out) / "run"))
    return seconds, memory


def program() -> Any:
    """Return two layers, of 8 x 16 x 16 neurons and of 10."""
    from speckflex.program.program import Program
    from speckflex.program.records import Core, Destination, InputStage

    rng = np.random.default_rng(0)
    first = Core(
        "conv",
        rng.integers(-9, 20, (8, 2, 2, 2)),
        20,
        -20,
        (2, 32, 32),
        (2, 2),
        destinations=(Destination(1),),
    )
    last = Core("out", rng.integers(-9, 20, (10, 8, 16, 16)), 100, -100, (8, 16, 16))
    return Program((first, last), InputStage((2, 32, 32)), chip="unbounded")


STEPS = {"save": save, "load": load, "compare": compare, "deploy": play}


def measure(step: str, size: int, folder: Path) -> tuple[float, float]:
    """Return seconds and MB of a step in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(STEPS[step], (size, folder))


def growth(sizes: list[int], values: list[float]) -> str:
    """Return the power of the size with which values grow between the first and the last."""
    if len(sizes) < 2 or min(values) <= 0:
        return "-"
    return f"{math.log(values[-1] / values[0]) / math.log(sizes[-1] / sizes[0]):.2f}"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--spikes", type=int, nargs="*", default=[10**6, 10**7, 10**8])
    parser.add_argument("--samples", type=int, nargs="*", default=[100, 1000, 10_000])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print("| step | size | seconds | MB added |\n| --- | ---: | ---: | ---: |")
    found: dict[str, list[tuple[float, float]]] = {step: [] for step in STEPS}
    with tempfile.TemporaryDirectory() as folder:
        for size in options.spikes:
            for step in ("save", "load", "compare"):
                seconds, memory = measure(step, size, Path(folder))
                found[step].append((seconds, memory))
                print(f"| {step} | {size:.0e} spikes | {seconds:.1f} | {memory:.0f} |", flush=True)
        for size in options.samples:
            seconds, memory = measure("deploy", size, Path(folder))
            found["deploy"].append((seconds, memory))
            print(f"| deploy | {size} samples | {seconds:.1f} | {memory:.0f} |", flush=True)
    for step, values in found.items():
        sizes = options.samples if step == "deploy" else options.spikes
        times, memories = ([value[i] for value in values] for i in range(2))
        powers = growth(sizes, times), growth(sizes, memories)
        print(f"{step}: seconds grow as size ** {powers[0]}, memory as size ** {powers[1]}")
    if options.json:
        options.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
