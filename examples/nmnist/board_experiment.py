"""Train on simulated recordings with the board in the loop, and judge on real ones.

    python examples/nmnist/board_experiment.py --simulated SYNTHETIC --data NMNIST --work WORK
    python examples/nmnist/board_table.py

A base is trained by SDT in torch, then fine-tuned with the twin playing the forward pass. Both
use simulated recordings alone, which also choose the epoch. The real recordings only judge: the
result file holds the prediction of each, so that networks can be compared recording by recording.
With --control, the base is also trained on in torch for as many epochs. With --real, a last
training on a part of the real recordings follows, judged on the rest.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from board_data import answers_in_torch, answers_on_twin, joined
from experiment import SPLIT_SEED

from speckflex.data import open_dataset
from speckflex.networks.files import load_network, save_network
from speckflex.training import (
    TrainingData,
    TrainingFiles,
    TrainingSettings,
    cache_frames,
    finetune_network,
    split_frames,
    train_network,
)
from speckflex.training.pipeline import bounded_neuron, new_network
from speckflex.version import __version__

if TYPE_CHECKING:
    from speckflex.data import EventDataset

T = 10


def main() -> None:
    """Run the experiment for each seed that has no result yet."""
    options = read_options()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    options.out.mkdir(parents=True, exist_ok=True)
    real = open_dataset(options.data, split="train")
    folders = [open_dataset(folder, split="train") for folder in options.simulated]
    simulated = joined([folder.balanced(options.recordings, seed=0) for folder in folders])
    for seed in options.seeds:
        run_simulated(simulated, real, seed, options)
        if options.real:
            run_real(real, seed, options)


def run_simulated(
    simulated: EventDataset, real: EventDataset, seed: int, options: argparse.Namespace
) -> None:
    """Train on simulated recordings alone and judge base and result on all real ones."""
    base = options.work / f"board-base-seed{seed}.pt"
    tuned = options.work / f"board-simulated-seed{seed}.pt"
    settings = TrainingSettings(
        epochs=options.base_epochs,
        learning_rate=2e-3,
        augment=options.augment,
        clip_weights=options.clip_weights,
        output="mean",
        validation_share=options.validation_share,
        seed=seed,
    )
    if not base.exists():
        neuron = bounded_neuron("multi-spike", options.lower_bound)
        network = new_network("nmnist-3c1fc", seed=seed, neuron=neuron, voting="spikes")
        data = split_frames(cache_frames(simulated, T), settings)
        trained = train_network(network, data, settings)
        save_network(trained.network, base)
        show("base", trained.history)
    judge(base, real, f"base-seed{seed}", {"settings": asdict(settings)}, options)
    if options.control:
        run_control(simulated, real, settings, options)
    settings = replace(on_board(settings, options.epochs, options.vary), t_max=options.frames)
    if not tuned.exists():
        data = split_frames(cache_frames(simulated, settings.t_max), settings)
        train_further(base, tuned, data, settings)
    judge(tuned, real, f"simulated-seed{seed}", {"settings": asdict(settings)}, options)


def run_control(
    simulated: EventDataset,
    real: EventDataset,
    settings: TrainingSettings,
    options: argparse.Namespace,
) -> None:
    """Train the base on in torch for as many epochs as the board would, chosen by the twin."""
    seed = settings.seed
    settings = replace(settings, epochs=options.epochs, chosen_by="twin")
    base = options.work / f"board-base-seed{seed}.pt"
    tuned = options.work / f"board-control-seed{seed}.pt"
    if not tuned.exists():
        data = split_frames(cache_frames(simulated, T), settings)
        train_further(base, tuned, data, settings)
    judge(tuned, real, f"control-seed{seed}", {"settings": asdict(settings)}, options)


def run_real(real: EventDataset, seed: int, options: argparse.Namespace) -> None:
    """Train on with 70 % of the real recordings, choose with 10 %, judge on the other 20 %."""
    training, validation, test = split_real(real)
    settings = replace(
        on_board(TrainingSettings(seed=seed), options.real_epochs, ""), augment="shift:2"
    )
    settings = replace(settings, learning_rate=1e-3, clip_weights=options.clip_weights)
    tuned = options.work / f"board-real-seed{seed}.pt"
    if not tuned.exists():
        parts = (cache_frames(part, settings.t_max) for part in (training, validation))
        base = options.work / f"board-simulated-seed{seed}.pt"
        train_further(base, tuned, TrainingData(*parts), settings)
    judge(tuned, test, f"real-seed{seed}", {"settings": asdict(settings)}, options)


def on_board(settings: TrainingSettings, epochs: int, vary: str) -> TrainingSettings:
    """Return the settings of a training that the twin plays."""
    board = {"method": "board", "output": "total", "synops_weight": 0.0}
    return replace(settings, t_max=20, epochs=epochs, vary=vary, **board)


def train_further(base: Path, out: Path, data: TrainingData, settings: TrainingSettings) -> None:
    """Fine-tune a saved network; go on from the checkpoint of one that was killed."""
    checkpoint = out.with_suffix(".checkpoint")
    files = TrainingFiles(checkpoint, resume=checkpoint if checkpoint.exists() else None)
    tuned = finetune_network(load_network(base), data, settings, files=files)
    save_network(tuned.network, out)
    show(out.name, tuned.history)


def show(name: str, history: tuple[Any, ...]) -> None:
    """Print what each epoch measured."""
    for epoch in history:
        chosen, seconds = epoch.chosen_by, round(epoch.seconds)
        print(f"{name} {epoch.epoch}: loss {epoch.loss:.3f}, {chosen:.3f}, {seconds} s", flush=True)


def split_real(real: EventDataset) -> tuple[EventDataset, EventDataset, EventDataset]:
    """Return 70, 10 and 20 % of each class, the same for every seed."""
    training, validation, test = (real.subset(part) for part in split_positions(real.labels))
    return training, validation, test


def split_positions(labels: np.ndarray) -> tuple[list[int], list[int], list[int]]:
    """Return the positions of the three parts of `split_real`."""
    rng = np.random.default_rng(SPLIT_SEED)
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for label in np.unique(labels):
        places = rng.permutation(np.flatnonzero(labels == label))
        edges = [round(0.7 * len(places)), round(0.8 * len(places))]
        for part, chosen in zip(parts, np.split(places, edges), strict=True):
            part.extend(chosen.tolist())
    return parts


def judge(
    path: Path, recordings: EventDataset, name: str, about: dict[str, Any], options: Any
) -> None:
    """Write what a network answers to each recording, on the twin and in torch at T = 10."""
    result = options.out / f"board-{name}.json"
    if result.exists():
        return
    network = load_network(path)
    on_twin = answers_on_twin(network, recordings)
    in_torch = answers_in_torch(network, recordings, T)
    labels = recordings.labels
    content = {
        "network": name,
        "recordings": len(labels),
        "twin": float((np.array(on_twin) == labels).mean()),
        "torch": float((np.array(in_torch) == labels).mean()),
        "simulated": [str(Path(folder).name) for folder in options.simulated],
        "simulated_recordings": options.recordings,
        **about,
        "versions": {"speckflex": __version__, "torch": torch.__version__},
        "labels": labels.tolist(),
        "twin_predictions": on_twin,
        "torch_predictions": in_torch,
    }
    result.write_text(json.dumps(content) + "\n")
    print(f"{name}: twin {content['twin']:.1%}, torch {content['torch']:.1%}", flush=True)


def read_options() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description="Train with the board in the loop.")
    parser.add_argument("--data", required=True, help="N-MNIST: Train inside, or label folders")
    parser.add_argument(
        "--simulated", nargs="+", required=True, help="recordings of make_synthetic.py"
    )
    parser.add_argument("--recordings", type=int, help="use this many of each of them")
    parser.add_argument("--augment", default="shift:2")
    parser.add_argument("--validation-share", type=float, default=0.05)
    parser.add_argument("--frames", type=int, default=20, help="that the gradient is computed in")
    parser.add_argument("--base-epochs", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--vary", default="order,jitter,drop=0.3")
    parser.add_argument("--lower-bound", type=float, default=-1.0, help="of the potentials")
    parser.add_argument("--clip-weights", action="store_true", help="keep them below the threshold")
    parser.add_argument("--control", action="store_true", help="train on in torch as well")
    parser.add_argument("--real", action="store_true", help="train on with real recordings too")
    parser.add_argument("--real-epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1000, 2000, 3000])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--work", type=Path, required=True, help="folder for trained networks")
    return parser.parse_args()


if __name__ == "__main__":
    started = time.monotonic()
    main()
    print(f"{(time.monotonic() - started) / 60:.0f} minutes")
