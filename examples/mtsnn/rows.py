"""Train rows of the MT-SNN table on real N-MNIST recordings and write a result file for each.

python examples/mtsnn/rows.py NMNIST [ROW ...] [--seed N] [--epochs N] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import speckflex as sf
from speckflex.analysis.calibration import calibrate
from speckflex.analysis.synops import measure_synops
from speckflex.boards import open_board
from speckflex.data import open_dataset
from speckflex.networks.quantised import quantised_layers
from speckflex.training import FrameSet, TrainingData, TrainingSettings, cache_frames, train_network
from speckflex.training.data import split_by_class
from speckflex.training.mixed.stages import MixedTimestepNetwork
from speckflex.training.pipeline import bounded_neuron, new_network
from speckflex.training.results import result_of

if TYPE_CHECKING:
    from speckflex.data import EventDataset

# What differs from row to row; all have the network 3C1FC, read by its spikes.
ROWS: dict[str, dict[str, Any]] = {
    "sdt": {"method": "sdt", "t_max": 20},
    "law": {"method": "law", "t_max": 20, "sampler": "fixed"},
    "mtsnn-3": {"method": "mtsnn", "t_max": 20, "mean_t": 3.0},
    "mtsnn-7": {"method": "mtsnn", "t_max": 20, "mean_t": 7.0},
    "mtsnn-15": {"method": "mtsnn", "t_max": 20, "mean_t": 15.0},
    "mtsnn-7-equal": {"method": "mtsnn", "t_max": 20, "bits": "3,3,3,3"},
    "mtsnn-7-5-frames": {"method": "mtsnn", "t_max": 5, "mean_t": 7.0},
    "mtsnn-7-1-frame": {"method": "mtsnn", "t_max": 1, "mean_t": 7.0},
}
UNSEEN_SHARE, CHOOSING_SHARE = 0.3, 0.1
CALIBRATE_ON = 64


def main() -> None:
    """Train each row, play it on the twin, calibrate it, and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("rows", nargs="*", default=list(ROWS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    dataset = open_dataset(options.data, split="train")
    options.out.mkdir(parents=True, exist_ok=True)
    for row in options.rows:
        result = run_row(row, dataset, options.seed, options.epochs)
        path = options.out / f"{row}-seed{options.seed}.json"
        path.write_text(json.dumps(result, indent=1) + "\n")
        print(path, result["accuracy"], f"{result['cpu_seconds']:.0f} CPU s", flush=True)


def run_row(row: str, dataset: EventDataset, seed: int, epochs: int) -> dict[str, Any]:
    """Return the content of a row's result file."""
    started = time.process_time()
    settings = TrainingSettings(
        epochs=epochs, seed=seed, augment="shift:2", clip_weights=True, **ROWS[row]
    )
    data, unseen = split(cache_frames(dataset, settings.t_max), seed)
    chosen = dataset.subset(split_by_class(dataset.labels, UNSEEN_SHARE, seed=0).validation)
    neuron = bounded_neuron("multi-spike", -1.0)
    network = train_network(
        new_network("nmnist-3c1fc", seed=seed, neuron=neuron), data, settings
    ).network
    trained = time.process_time() - started
    program = sf.convert(network, dataset.shape, chip="unbounded")
    some = seen_by_training(dataset).balanced(CALIBRATE_ON)
    calibration = calibrate(program, [events for events, _ in some], some.labels)
    played = {"twin": play(program, chosen), "calibrated": play(calibration.program, chosen)}
    in_torch = answers_in_torch(network, unseen)
    predictions = {"torch": in_torch, **{name: one["answers"] for name, one in played.items()}}
    return {
        **result_of(settings, unseen.labels.numpy(), predictions),
        "row": row,
        "levels": [layer.levels for layer in quantised_layers(network)],
        "spikes": {name: one["spikes"] for name, one in played.items()},
        "synops": {name: one["synops"] for name, one in played.items()},
        "weights_above_threshold": [
            float((core.weights >= core.threshold_high).mean()) for core in program.cores
        ],
        "calibration": [asdict(change) for change in calibration.changes],
        "training_cpu_seconds": trained,
        "cpu_seconds": time.process_time() - started,
    }


def split(recordings: FrameSet, seed: int) -> tuple[TrainingData, FrameSet]:
    """Return recordings that train and that choose the epoch, and those that nothing sees."""
    # the unseen ones are the same for every seed
    outer = split_by_class(recordings.labels.numpy(), UNSEEN_SHARE, seed=0)
    seen, unseen = recordings.select(outer.training), recordings.select(outer.validation)
    inner = split_by_class(seen.labels.numpy(), CHOOSING_SHARE, seed=seed)
    return TrainingData(seen.select(inner.training), seen.select(inner.validation)), unseen


def seen_by_training(dataset: EventDataset) -> EventDataset:
    """Return all recordings but the unseen ones."""
    return dataset.subset(split_by_class(dataset.labels, UNSEEN_SHARE, seed=0).training)


@torch.no_grad()
def answers_in_torch(network: torch.nn.Module, recordings: FrameSet) -> np.ndarray:
    """Return (recording,) int64 answers of the network in its own frames, -1 for none."""
    mixed = MixedTimestepNetwork(network).eval()
    scores = torch.cat([mixed(part).sum(1) for part in recordings.frames.split(64)])
    return torch.where((scores != 0).any(1), scores.argmax(1), -1).numpy()


def play(program: sf.Program, recordings: EventDataset) -> dict[str, Any]:
    """Return answers, and spikes and synaptic operations of each layer for a recording."""
    answers, spikes, synops = [], [], []
    with open_board("twin") as board:
        board.load(program)
        for start in range(0, len(recordings), 50):
            events = [sample for sample, _ in recordings[start : start + 50]]
            played = board.play(events)
            answers.append(played.answers())
            spikes.append([int(played.counts(i).sum()) for i in range(len(program.cores))])
            synops.append([layer.total for layer in measure_synops(program, played, events)])
    n = len(recordings)
    return {
        "answers": np.concatenate(answers),
        "spikes": (np.sum(spikes, axis=0) / n).tolist(),
        "synops": (np.sum(synops, axis=0) / n).tolist(),
    }


if __name__ == "__main__":
    main()
