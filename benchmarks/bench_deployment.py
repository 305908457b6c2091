"""Measure memory and time of deployments of more and more simulated recordings.

    python benchmarks/bench_deployment.py [--samples 1000,10000] [--network bundled] [--save]
    python benchmarks/bench_deployment.py --samples 100000 --shards 8 --workers 2

Each deployment, shard and merge runs in a process of its own. Recordings are random events in
memory of a few hundred bytes each, made when they are read, so that the data set itself takes no
memory.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import speckflex
from speckflex.data.dataset import EventDataset
from speckflex.deployment.deploy import DeploySettings, deploy
from speckflex.deployment.shards import Shard, ShardRun, deploy_shard, merge_shards
from speckflex.events.streams import make_events
from speckflex.program.program import Program
from speckflex.program.records import Core, Destination, InputStage
from speckflex.report import render_json

if TYPE_CHECKING:
    from speckflex.conversion.model import ConvertedModel

N_EVENTS, SHAPE = 40, (2, 34, 34)


def read(index: int) -> np.ndarray:
    """Return the events of one recording, always the same for the same index."""
    rng = np.random.default_rng(index)
    times = np.sort(rng.integers(0, 100_000, N_EVENTS))
    return make_events(times, *(rng.integers(0, side, N_EVENTS) for side in (34, 34, 2)))


def program() -> Program:
    """Return two layers of 7210 neurons, most of which spike now and then."""
    rng = np.random.default_rng(2)
    first = rng.integers(-60, 100, (8, 2, 5, 5)).astype(np.int8)
    last = rng.integers(-60, 80, (10, 8, 30, 30)).astype(np.int8)
    cores = (
        Core("conv", first, 90, -90, SHAPE, destinations=(Destination(1),)),
        Core("out", last, 400, -400, (8, 30, 30)),
    )
    return Program(cores, InputStage(SHAPE), chip="unbounded")


def measure(network: str, n_samples: int, *, save: bool) -> dict[str, float]:
    """Deploy so many recordings; return the seconds, the peak of memory and the report, MiB."""
    model = program() if network == "program" else bundled()
    dataset = random_events(n_samples)
    began, before = time.perf_counter(), peak()
    deployment = deploy(model, dataset, "twin", settings=DeploySettings())
    deployed, seconds = peak(), time.perf_counter() - began
    size = len(render_json(deployment.report)) / 2**20
    if save:
        with tempfile.TemporaryDirectory() as folder:
            deployment.save(Path(folder))
    return {
        "before": before,
        "deployed": deployed,
        "in all": peak(),
        "seconds": seconds,
        "report.json": size,
    }


def random_events(n_samples: int) -> EventDataset:
    """Return so many recordings, each made when it is read."""
    return EventDataset(
        "random events",
        SHAPE,
        tuple("0123456789"),
        np.arange(n_samples) % 10,
        synthetic=True,
        items=tuple(range(n_samples)),
        read=read,
    )


def measure_shard(n_samples: int, shard: Shard, folder: Path) -> dict[str, float]:
    """Play one shard into a folder; return its samples, processor seconds and peak, MiB."""
    settings = DeploySettings(threads=1)
    run = ShardRun(shard, folder)
    played = deploy_shard(program(), random_events(n_samples), "twin", run, settings=settings)
    return {
        "shard": shard.index,
        "recordings": played.samples,
        "seconds": time.process_time(),
        "peak": peak(),
        "file": played.path.stat().st_size / 2**20,
    }


def measure_merge(folder: Path) -> dict[str, float]:
    """Merge the shards of a folder; return the processor seconds, the peak and the report, MiB."""
    merged = merge_shards([folder])
    with tempfile.TemporaryDirectory() as out:
        merged.deployment.save(Path(out))
        size = (Path(out) / "report.json").stat().st_size / 2**20
    return {
        "recordings": merged.deployment.report.samples,
        "seconds": time.process_time(),
        "peak": peak(),
        "file": size,
    }


def measure_shards(n_samples: int, count: int, workers: int) -> list[dict[str, float]]:
    """Play all shards, some at once, and merge them; print and return a row for each."""
    context = multiprocessing.get_context("spawn")
    print("shard  recordings  processor seconds  peak (MiB)  file (MiB)")
    rows = []
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        with context.Pool(workers, maxtasksperchild=1) as pool:
            play = partial(measure_shard, n_samples, folder=folder)
            for row in pool.imap(play, [Shard(n + 1, count) for n in range(count)], chunksize=1):
                rows.append(row)
                print_row(row)
        with context.Pool(1) as pool:
            rows.append(pool.apply(measure_merge, (folder,)))
            print_row(rows[-1])
    return rows


def print_row(row: dict[str, float]) -> None:
    """Print what a shard or the merge took."""
    print(
        f"{row.get('shard', 'merge'):>5} {row['recordings']:11} {row['seconds']:18.1f}"
        f" {row['peak']:11.0f} {row['file']:11.1f}",
        flush=True,
    )


def bundled() -> ConvertedModel:
    """Return the bundled network, which torch plays too."""
    from speckflex.conversion.model import read_model

    return read_model(Path(speckflex.__file__).parent / "models" / "synthetic-digits.pt")


def peak() -> float:
    """Return the most memory that this process had, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print one row for each number of recordings, and the growth from row to row."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", default="1000,10000", help="numbers, with commas")
    parser.add_argument("--network", choices=["program", "bundled"], default="program")
    parser.add_argument("--save", action="store_true", help="write all files too")
    parser.add_argument("--shards", type=int, help="play in so many shards, and merge them")
    parser.add_argument("--workers", type=int, default=2, help="shards that are played at once")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    if options.shards:
        number = int(options.samples.split(",")[0])
        found = measure_shards(number, options.shards, options.workers)
        if options.json:
            options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
        return
    rows = []
    print("recordings  before  deployed  in all (MiB)  seconds  KiB a recording  report.json (MiB)")
    for number in map(int, options.samples.split(",")):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            run = partial(measure, options.network, number, save=options.save)
            row = pool.apply(run)
        more = row["deployed"] - rows[-1]["deployed"] if rows else 0.0
        added = number - rows[-1]["recordings"] if rows else 1
        rows.append({"recordings": number, **row})
        print(
            f"{number:10} {row['before']:7.0f} {row['deployed']:9.0f} {row['in all']:13.0f}"
            f" {row['seconds']:8.0f} {1024 * more / added:16.2f} {row['report.json']:18.1f}",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
