"""Measure time and memory against size, each step in a process of its own, and how both grow.

    python benchmarks/bench_load.py [--step save load ...] [--largest 0.1] [--json FILE]

Recordings of N spikes with times of their own are made up, saved, loaded, and compared with one
that differs in one spike. Small samples are deployed on the twin, without a torch network. A stream
goes through 3C1FC in blocks. Nine layers of 128 x 128 play ten samples and keep all spikes, and two
of such plays are compared. Reports of 1000 samples and 64 classes are made and written.

Seconds are of processor time. "MB added" is the most that the step adds to what lies in memory
before it, "peak MB" the most of its process. Growth is the slope of a line through the logarithms.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from speckflex.recordings.recording import Recording

SHAPE = (8, 64, 64)
EVENTS_OF_A_SAMPLE = 50
SAMPLES, MICROSECONDS = 10, 1_000_000  # of the nine layers
THRESHOLD = 140  # so that the last layer still spikes
REPORTED, CLASSES = 1000, 64  # samples of a report
Rows = dict[str, tuple[float, float]]  # seconds of processor time, and MB added, by name


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


def save(n_spikes: int, folder: Path) -> Rows:
    """Save a recording."""
    recording = made_up(n_spikes)
    _, seconds, memory = timed(lambda: recording.save(folder / "a.h5"))
    return {"save": (seconds, memory)}


def load(_: int, folder: Path) -> Rows:
    """Load it."""
    from speckflex.recordings.recording import Recording

    _, seconds, memory = timed(lambda: Recording.load(folder / "a.h5"))
    return {"load": (seconds, memory)}


def compare(_: int, folder: Path) -> Rows:
    """Compare it with one that differs in one spike in the middle."""
    from speckflex.recordings.recording import Recording

    return {"compare": compared_with_one_moved(Recording.load(folder / "a.h5"))}


def play(n_samples: int, _: Path) -> Rows:
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
    return {"deploy": (seconds, memory)}


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


def stream(n_events: int, _: Path) -> Rows:
    """Play a stream through 3C1FC on the twin, in blocks of a million events."""
    from bench_memory import BLOCK, blocks_of
    from bench_twin import calibrated

    from speckflex.boards.twin import Twin

    model, events = calibrated("3C1FC, 34x34")
    with Twin(threads=1) as twin:
        twin.load(model)
        twin.play_stream(blocks_of(events, BLOCK))  # compiles, and holds the first block
        _, seconds, memory = timed(lambda: twin.play_stream(blocks_of(events, n_events)))
    return {"stream": (seconds, memory)}


def nine(n_events: int, _: Path) -> Rows:
    """Play ten samples through nine layers of 128 x 128, keep all spikes, and compare two plays."""
    from bench_twin import random_events

    from speckflex.boards.twin import Twin

    rng = np.random.default_rng(0)
    model = nine_layers()
    samples = [
        random_events(rng, model.input.shape, n_events // SAMPLES, MICROSECONDS)
        for _ in range(SAMPLES)
    ]
    with Twin(threads=1) as twin:
        twin.load(model)
        twin.play([samples[0][:100]])
        first, seconds, memory = timed(lambda: twin.play(samples))
    sys.stderr.write(f"{sum(int(layer.counts.sum()) for layer in first.layers):.3g} spikes\n")
    return {"nine": (seconds, memory), "nine, compared": compared_with_one_moved(first)}


def compared_with_one_moved(one: Recording) -> tuple[float, float]:
    """Compare a recording with one whose last layer has a spike in another place."""
    from speckflex.recordings.compare import compare as compare_recordings

    last = one.layers[-1]
    events = [sample.copy() for sample in last.events or ()]
    events[5]["x"][len(events[5]) // 2] ^= 1
    other = replace(one, layers=(*one.layers[:-1], replace(last, events=tuple(events))))
    found, seconds, memory = timed(lambda: compare_recordings(one, other))
    divergence = found.layers[-1].first_divergence
    if divergence is None or divergence.sample != 5:
        raise RuntimeError(f"the spike that differs was not found: {divergence}")
    return seconds, memory


def nine_layers() -> Any:
    """Return nine layers of 2 x 128 x 128 neurons, each with about as many spikes as events."""
    from speckflex.program.program import Program
    from speckflex.program.records import Core, Destination, InputStage

    rng = np.random.default_rng(0)
    shape = (2, 128, 128)
    cores = [
        Core(
            f"layer{index}",
            rng.integers(0, 20, (2, 2, 3, 3)),
            THRESHOLD,
            -THRESHOLD,
            shape,
            padding=(1, 1),
            destinations=(Destination(index + 1),) if index < 8 else (),
        )
        for index in range(9)
    ]
    return Program(tuple(cores), InputStage(shape), chip="unbounded")


def report(n_layers: int, folder: Path) -> Rows:
    """Make and write the report of 1000 samples of 64 classes, of torch against the twin."""
    from speckflex.report import build_report, write_report

    model = deep(n_layers)
    recordings = {role: counted(model, role) for role in ("torch", "twin")}
    out = folder / f"report-{n_layers}"
    _, seconds, memory = timed(lambda: write_report(build_report(model, recordings), out))
    for name in ("report.html", "report.json"):
        size = (out / name).stat().st_size / 2**20
        sys.stderr.write(f"{name} of {n_layers} layers: {size:.2f} MB\n")
    return {"report": (seconds, memory)}


def deep(n_layers: int) -> Any:
    """Return layers of 4 x 4 x 4 neurons in a row, the last of 64 classes."""
    from speckflex.program.program import Program
    from speckflex.program.records import Core, Destination, InputStage

    rng = np.random.default_rng(0)
    cores = [
        Core(
            f"layer{index}",
            rng.integers(-90, 90, (4, 4, 1, 1)),
            20,
            -20,
            (4, 4, 4),
            destinations=(Destination(index + 1),),
        )
        for index in range(n_layers - 1)
    ]
    last = Core("classes", rng.integers(-90, 90, (CLASSES, 4, 4, 4)), 20, -20, (4, 4, 4))
    return Program((*cores, last), InputStage((4, 4, 4)), chip="unbounded")


def counted(model: Any, role: str) -> Recording:
    """Return made-up spikes of each layer, the events of the first sample among them."""
    from bench_twin import random_events

    from speckflex.recordings.recording import LayerRecord, Provenance, Recording, SampleLog

    rng = np.random.default_rng(len(role))
    layers = []
    for index, core in enumerate(model.cores):
        shape = core.output_shape
        counts = rng.poisson(3, (REPORTED, *shape))
        first = random_events(rng, shape, 500, MICROSECONDS)
        np.add.at(counts[0], (first["p"], first["y"], first["x"]), 1)
        layers.append(LayerRecord(index, core.name, counts, (first,)))
    log = SampleLog(500, 500, 500)
    origin = Provenance(model.sha256, role, role)
    labels = np.arange(REPORTED) % CLASSES
    return Recording(tuple(layers), len(layers), (log,) * REPORTED, origin, labels)


# What each step is measured with: its sizes, and the unit of these.
STEPS: dict[str, tuple[Callable[[int, Path], Rows], str]] = {
    "save": (save, "spikes"),
    "load": (load, "spikes"),
    "compare": (compare, "spikes"),
    "deploy": (play, "samples"),
    "stream": (stream, "events"),
    "nine": (nine, "events of nine"),
    "report": (report, "layers"),
}
SIZES = {
    "spikes": [10**6, 10**7, 10**8],
    "samples": [100, 1000, 10_000],
    "events": [10**6, 10**7, 10**8],
    "events of nine": [10**6, 2 * 10**6, 4 * 10**6],
    "layers": [25, 100, 200],
}


def measure(step: str, size: int, folder: Path) -> tuple[Rows, float]:
    """Return what a step measures in a process of its own, and the most MB of that process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (step, size, folder))


def _measured(step: str, size: int, folder: Path) -> tuple[Rows, float]:
    return STEPS[step][0](size, folder), peak() / 2**20


def growth(sizes: list[float], values: list[float]) -> str:
    """Return the power of the size with which values grow: a line through their logarithms."""
    if len(sizes) < 2 or min(values) <= 0:
        return "-"
    return f"{np.polyfit(np.log(sizes), np.log(values), 1)[0]:.2f}"


def main() -> None:
    """Print a table, and how each step grows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--step", nargs="*", choices=STEPS, default=list(STEPS))
    parser.add_argument("--largest", type=float, default=1.0, help="share of the largest sizes")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print("| step | size | seconds | MB added | peak MB |\n| --- | ---: | ---: | ---: | ---: |")
    found: dict[str, list[list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for unit, sizes in SIZES.items():
            # save, load and compare use the same file, so that they take turns
            for size in (round(size * options.largest) for size in sizes):
                for step in (one for one in options.step if STEPS[one][1] == unit):
                    rows, most = measure(step, size, Path(folder))
                    for name, (seconds, memory) in rows.items():
                        found.setdefault(name, []).append([size, seconds, memory, most])
                        cells = f"{size:,} {unit.split()[0]} | {seconds:.2f} | {memory:.0f}"
                        print(f"| {name} | {cells} | {most:.0f} |", flush=True)
    for name, rows in found.items():
        sizes, times, memories, _ = (list(column) for column in zip(*rows, strict=True))
        powers = growth(sizes, times), growth(sizes, memories)
        print(f"{name}: seconds grow as size ** {powers[0]}, memory as size ** {powers[1]}")
    if options.json:
        options.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
