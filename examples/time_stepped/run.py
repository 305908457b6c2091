"""Train one network at fixed, common and mixed time steps, and test it at other numbers of them.

    python examples/time_stepped/run.py --out FOLDER [--smoke] [--rows sdt mtt ..] [--seeds ..]

Each row and seed is a file FOLDER/ROW-SEED.json with the accuracies, the predictions and the cost;
rows that have one are left out, so an interrupted run goes on. `table.py FOLDER` makes the tables.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from data import N_FRAGMENTS, SCALE, write_cluttered_digits

from speckflex.data import open_images
from speckflex.networks.factories import network_from_factory
from speckflex.training import FrameSet, fit, open_fabric, split_frames, stream_frames
from speckflex.training.mixed.stages import cut_network
from speckflex.training.results import origin_of
from speckflex.training.settings import TrainingSettings
from speckflex.training.stage_timesteps import measure_stages

T_MAX = 6
TESTED = (1, 2, 3, 4, 5, 6)
SEEDS = (1000, 2000, 3000)
# As the paper trains on CIFAR, but shorter: SGD, a learning rate of 0.1, a cosine to 0.
BASE = TrainingSettings(
    method="sdt",
    t_max=T_MAX,
    samples_per_step=3,
    epochs=30,
    batch_size=128,
    optimiser="sgd",
    learning_rate=0.1,
    weight_decay=5e-4,
    keep="last",
    augment="shift:2",
    upsampling="copy",
    input_frames="trim",
    output="mean",
)
MTT = replace(BASE, method="mtt")
ROWS: dict[str, TrainingSettings] = {
    "sdt": BASE,
    "nmt": replace(BASE, method="nmt"),
    "mtt": MTT,
    "mtt-g2": replace(MTT, granularity=2),
    "mtt-g4": replace(MTT, granularity=4),
    "mtt-uncalibrated": replace(MTT, calibration_batches=0),
    # Trained at the T that it is tested at: the paper's SDT*.
    "sdt-at-2": replace(BASE, t_max=2),
}
SMOKE = {"epochs": 1, "batch_size": 32}


def main() -> None:
    """Run the rows and seeds that have no file yet."""
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    folder = write_cluttered_digits(options.out / "images", options.fragments, options.scale)
    if options.threads:
        torch.set_num_threads(options.threads)
    for seed in options.seeds:
        for row in options.rows:
            target = options.out / f"{row}-{seed}.json"
            if not target.is_file():
                result = run_row(row, seed, folder, options)
                target.write_text(json.dumps(result))
                print(row, seed, result["accuracy"], f"{result['seconds']:.0f} s", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=["sdt", "nmt", "mtt"])
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--network", default="resnet18-lif width=64")
    parser.add_argument("--epochs", type=int, default=BASE.epochs)
    parser.add_argument("--batch-size", type=int, default=BASE.batch_size)
    parser.add_argument("--fragments", type=int, default=N_FRAGMENTS, help="of other digits")
    parser.add_argument("--scale", type=int, default=SCALE, help="of a digit of 8 x 8 pixels")
    parser.add_argument("--images", type=int, help="that train; by default all 4000")
    parser.add_argument("--accelerator", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--smoke", action="store_true", help="a minute on two cores")
    return parser.parse_args()


def run_row(row: str, seed: int, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Train one row from one seed, and return what its network answers to the test images."""
    settings = replace(ROWS[row], seed=seed, epochs=options.epochs, batch_size=options.batch_size)
    network, limit = options.network, options.images
    if options.smoke:
        settings, network, limit = replace(settings, **SMOKE), "resnet18-lif width=16", 128
    images = open_images(folder, split="train", limit=limit, seed=seed)
    data = split_frames(_in_memory(stream_frames(images, 1)), settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = network_from_factory(network, n_classes=10)
    started, cpu = time.monotonic(), time.process_time()
    result = fit(fresh, data, settings, fabric=open_fabric(options.accelerator))
    seconds, cpu = time.monotonic() - started, time.process_time() - cpu
    tested = open_images(folder, limit=128 if options.smoke else None, seed=0)
    # all stages at one T, as in the paper's Table 1
    curve = measure_stages(cut_network(result.network), tested, TESTED)
    return {
        **origin_of(settings),
        "row": row,
        "seed": seed,
        "network": network,
        "runs": "time-stepped in torch only",
        "device": options.accelerator,
        "images": len(images),
        "fragments": options.fragments,
        "scale": options.scale,
        "threads": torch.get_num_threads(),
        "seconds": seconds,
        "cpu_seconds": cpu,
        "stages": curve.stages,
        "labels": curve.labels.tolist(),
        "accuracy": {str(point.timesteps[0]): point.accuracy for point in curve.in_torch},
        "predictions": {str(p.timesteps[0]): p.predictions.tolist() for p in curve.in_torch},
    }


def _in_memory(frames: FrameSet) -> FrameSet:
    """Return the same images read once, because they are few."""
    return FrameSet(frames.frames[:], frames.labels, frames.events)


if __name__ == "__main__":
    main()
