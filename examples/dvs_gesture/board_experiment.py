"""Fine-tune one base by SDT, MTT and with the board in the loop, and compare them on the twin.

    python examples/dvs_gesture/board_experiment.py --out out/gestures
    python examples/dvs_gesture/board_experiment.py --out out/deep --network vggsnn --width 64
    python examples/dvs_gesture/board_experiment.py --out out/real --data data/DVSGesture

Without --data the recordings are synthetic. A base with batch norm is trained by SDT, folded
without biases, and tuned by each method for the same number of epochs, on the same recordings. The
last epoch is kept. The test recordings show other people, and only judge: OUT holds the answer of
each network to each of them, and the table that is printed compares them recording by recording.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import speckflex as sf
from speckflex.data import EventDataset, open_dataset, write_synthetic_gestures
from speckflex.networks.files import load_network, save_network
from speckflex.recordings.measures import wilson_interval
from speckflex.training import (
    TrainingData,
    TrainingSettings,
    cache_frames,
    evaluate,
    finetune_network,
    train_network,
)
from speckflex.training.gain import paired_gain
from speckflex.training.mixed.stages import MixedTimestepNetwork
from speckflex.training.pipeline import new_network
from speckflex.version import __version__

if TYPE_CHECKING:
    from torch import nn

METHODS = ("sdt", "mtt", "board")
RECORDINGS_AT_ONCE = 16


def main() -> None:
    """Train what is not there yet, judge it, and print the table."""
    options = read_options()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    folder = options.data or write_synthetic_gestures(
        options.out, seed=options.seed, users=options.users
    )
    data, test = read_data(folder, options)
    base = options.out / "base.pt"
    settings = TrainingSettings(
        t_max=options.t,
        epochs=options.base_epochs,
        batch_size=16,
        learning_rate=options.learning_rate,
        seed=options.seed,
        synops_weight=0.0,
    )
    if not base.exists():
        network = new_network(options.network, seed=options.seed, **network_options(options))
        trained = train_network(network, data, settings)
        print(f"base: {trained.best.validation_accuracy:.1%} right at T = {options.t}", flush=True)
        save_network(sf.fold_batchnorm(trained.network), base)
    settings = replace(
        settings, epochs=options.epochs, learning_rate=options.learning_rate / 3, keep="last"
    )
    for method in METHODS:
        result = options.out / f"{method}.json"
        if not result.exists():
            chosen = replace(settings, method=method)
            tuned = finetune_network(load_network(base), data, chosen)
            save_network(tuned.network, options.out / f"{method}.pt")
            seconds = sum(epoch.seconds for epoch in tuned.history)
            about = {"settings": asdict(chosen), "seconds": round(seconds, 1)}
            content = {**about, **judge(tuned.network, test, options.t)}
            result.write_text(json.dumps(content) + "\n")
    print("\n".join(table(options.out)))


def network_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return what the network's factory takes."""
    chosen = {"width": options.width, "n_classes": 11, "input_shape": (2, 128, 128)}
    return {name: value for name, value in chosen.items() if value is not None}


def read_data(folder: Path, options: argparse.Namespace) -> tuple[TrainingData, EventDataset]:
    """Return nine tenths and a tenth of the training split, and the test split."""
    dataset = open_dataset(folder, split="train")
    order = np.random.default_rng(options.seed).permutation(len(dataset))
    n_chosen = max(11, len(dataset) // 10)
    parts = dataset.subset(order[n_chosen:]), dataset.subset(order[:n_chosen])
    data = TrainingData(*(cache_frames(part, options.t) for part in parts))
    return data, open_dataset(folder, split="test")


def judge(network: nn.Module, recordings: EventDataset, t: int) -> dict[str, Any]:
    """Return the twin's answer to each recording, and the accuracy in torch at T."""
    answers: list[int] = []
    program = sf.convert(network, input_shape=recordings.shape, chip="unbounded")
    with sf.open_board("twin", threads=1) as board:
        board.load(program)
        for first in range(0, len(recordings), RECORDINGS_AT_ONCE):
            part = recordings[first : first + RECORDINGS_AT_ONCE]
            played = board.play([events for events, _ in part], keep_events=False)
            answers.extend(played.answers().tolist())
    in_torch = evaluate(MixedTimestepNetwork(network), cache_frames(recordings, t))
    return {
        "synthetic": recordings.synthetic,
        "torch": in_torch.accuracy,
        "labels": recordings.labels.tolist(),
        "twin_predictions": answers,
        "torch_predictions": in_torch.answers.tolist(),
        "versions": {"speckflex": __version__, "torch": torch.__version__},
    }


def table(folder: Path) -> list[str]:
    """Return one line for each method that has a result."""
    columns = ("method", "recordings", "torch", "twin", "gap, points", "twin over sdt", "seconds")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    results = {
        method: json.loads((folder / f"{method}.json").read_text())
        for method in METHODS
        if (folder / f"{method}.json").exists()
    }
    for method, result in results.items():
        hits = right(result)
        low, high = wilson_interval(int(hits.sum()), len(hits))
        cells = [method, f"{len(hits)} {'synthetic' if result['synthetic'] else 'real'}"]
        cells += [f"{result['torch']:.1%}", f"{hits.mean():.1%} ({low:.1%} to {high:.1%})"]
        cells += [f"{100 * (hits.mean() - result['torch']):+.1f}"]
        cells += ["" if method == "sdt" else won(right(results["sdt"]), hits)]
        lines.append(f"| {' | '.join([*cells, str(result['seconds'])])} |")
    return lines


def right(result: dict[str, Any]) -> np.ndarray:
    """Return (recording,) bool: what the twin classified right."""
    return np.array(result["twin_predictions"]) == np.array(result["labels"])


def won(before: np.ndarray, after: np.ndarray) -> str:
    """Return the paired difference with its 95 % interval and McNemar's exact test."""
    gain = paired_gain(before, after)
    low, high = (100 * end for end in gain.interval)
    points = 100 * (gain.after - gain.before)
    return f"{points:+.1f} ({low:+.1f} to {high:+.1f}, p = {gain.p_value:.1g})"


def read_options() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of all files")
    parser.add_argument("--data", type=Path, help="DVS-Gesture as tonic keeps it")
    parser.add_argument("--network", choices=["gesture-4c2fc", "vggsnn"], default="gesture-4c2fc")
    parser.add_argument("--width", type=int, help="the most channels; the paper's by default")
    parser.add_argument("--t", type=int, default=10)
    parser.add_argument("--base-epochs", type=int, default=25)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--learning-rate", type=float, default=1e-2)
    parser.add_argument("--users", type=int, default=8, help="synthetic people in each split")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
