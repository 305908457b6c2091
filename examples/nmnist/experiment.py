"""One row of the N-MNIST table: train, fine-tune, measure in torch and on the twin."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

import speckflex as sf
from speckflex.data import EventDataset, open_dataset
from speckflex.deployment.torch_reference import TorchReference
from speckflex.networks.files import load_network, save_network
from speckflex.training import (
    FrameSet,
    TrainingData,
    TrainingSettings,
    cache_frames,
    evaluate,
    finetune_network,
    train_network,
)
from speckflex.training.mixed.stages import MixedTimestepNetwork
from speckflex.training.pipeline import add_voting_neuron, bounded_neuron, new_network

T_MAX = 10
TEST_BINS = (1, 2, 5, 10, 20, 50, 100)
SPLIT_SEED = 0


@dataclass(frozen=True)
class Row:
    """The training of a row of the table.

    Args:
        name: the name of the row and of its result files.
        method: "sdt", "nmt" or "mtt", for the fine-tuning of a base that is trained by SDT, or for
            the whole training.
        neuron: a key of `speckflex.networks.paper.NEURONS`.
        sampler: how MTT draws: "uniform" (as published) or "fixed-first" (ours).
        upsampling: "copy" (the paper's) or "spread".
        output: "mean" (the paper's) or "total".
        eight_bit: fine-tune on the chip's 8-bit weights.
        lower_bound: of the neurons, in thresholds.
        clip_weights: keep weights below the threshold.
        batch_norm: train the base with batch norm, folded before the fine-tuning.
        width: the largest number of channels.
        epochs: of the base.
        finetune_epochs: of the fine-tuning.
        finetune_rate: learning rate of the fine-tuning.
        finetune_t: T (sdt) or T_max (nmt, mtt) of the fine-tuning, which uses only real
            recordings; or of the training if there is no fine-tuning.
        synthetic: train the base on the real training recordings twice, and on recordings
            simulated from other handwriting.
        from_scratch: train by `method` from the first weights, without fine-tuning.
    """

    name: str
    method: str
    neuron: str = "multi-spike"
    eight_bit: bool = False
    sampler: str = "fixed-first"
    upsampling: str = "copy"
    output: str = "mean"
    lower_bound: float = -1.0
    clip_weights: bool = False
    batch_norm: bool = False
    width: int = 16
    epochs: int = 40
    finetune_epochs: int = 10
    finetune_t: int = T_MAX
    finetune_rate: float = 2e-3
    synthetic: bool = False
    from_scratch: bool = False

    @property
    def base_name(self) -> str:
        """A name that rows with the same base training have in common."""
        parts = (self.neuron, self.lower_bound, self.clip_weights, self.batch_norm)
        return "-".join(str(part) for part in (*parts, self.width, self.epochs, self.synthetic))


@dataclass(frozen=True, eq=False)
class Parts:
    """The recordings: 70 % train, 10 % choose the epoch, 20 % are played only at the end."""

    training: EventDataset
    validation: EventDataset
    test: EventDataset

    def frames(self, n_bins: int) -> TrainingData:
        """Return the first two parts as frames."""
        return TrainingData(
            cache_frames(self.training, n_bins), cache_frames(self.validation, n_bins)
        )


def read_parts(options: argparse.Namespace) -> Parts:
    """Return the split recordings; the split is the same for every row and seed."""
    dataset = open_dataset(options.data, split="train")
    rng = np.random.default_rng(SPLIT_SEED)
    training, validation, test = [], [], []
    for label in np.unique(dataset.labels):
        places = rng.permutation(np.flatnonzero(dataset.labels == label))
        first, second = round(0.7 * len(places)), round(0.8 * len(places))
        training.extend(places[:first])
        validation.extend(places[first:second])
        test.extend(places[second:])
    return Parts(dataset.subset(training), dataset.subset(validation), dataset.subset(test))


def base_data(row: Row, parts: Parts, options: argparse.Namespace) -> TrainingData:
    """Return the recordings that train the base of the row, and those that choose its epoch."""
    real = parts.frames(T_MAX)
    if not row.synthetic:
        return real
    simulated = cache_frames(open_dataset(options.synthetic, split="train"), T_MAX)
    joined = (real.training, real.training, simulated)
    frames = torch.cat([part.frames for part in joined])
    return TrainingData(
        FrameSet(frames, torch.cat([part.labels for part in joined])), real.validation
    )


def run(row: Row) -> None:
    """Train the row with each seed of the command line and write a result file for each."""
    options = read_options()
    torch.set_num_threads(1)
    parts = read_parts(options)
    options.out.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        path = options.out / f"{row.name}-seed{seed}.json"
        if path.exists():
            print(f"{path} already exists")
            continue
        started = time.monotonic()
        network, validation = train_row(row, parts, seed, options)
        result = {
            "row": asdict(row),
            "seed": seed,
            "training_recordings": len(parts.training),
            "validation_recordings": len(parts.validation),
            "test_recordings": len(parts.test),
            "validation_accuracy": validation,
            **measure(network, parts.test),
            "minutes": round((time.monotonic() - started) / 60, 1),
        }
        save_network(network, options.work / f"{row.name}-seed{seed}.pt")
        path.write_text(json.dumps(result, indent=1) + "\n")
        print(path.name, result["torch"], "twin", result["twin"], flush=True)


def train_row(
    row: Row, parts: Parts, seed: int, options: argparse.Namespace
) -> tuple[torch.nn.Module, float]:
    """Return the row's network and its validation accuracy."""
    settings = TrainingSettings(
        t_max=T_MAX, epochs=row.epochs, augment="shift:2", clip_weights=row.clip_weights, seed=seed
    )
    mixing = {
        "method": row.method,
        "sampler": row.sampler,
        "upsampling": row.upsampling,
        "output": row.output,
    }
    options.work.mkdir(parents=True, exist_ok=True)
    if row.from_scratch:
        settings = replace(settings, t_max=row.finetune_t, keep="last", **mixing)
        trained = train_network(_new(row, seed), parts.frames(row.finetune_t), settings)
        return add_voting_neuron(trained.network), trained.best.validation_accuracy
    base_path = options.work / f"base-{row.base_name}-seed{seed}.pt"
    if not base_path.exists():
        base = train_network(_new(row, seed), base_data(row, parts, options), settings)
        print("base:", base.best, flush=True)
        save_network(base.network, base_path)
    voting = add_voting_neuron(sf.fold_batchnorm(load_network(base_path)))
    tuning = replace(
        settings,
        t_max=row.finetune_t,
        epochs=row.finetune_epochs,
        learning_rate=row.finetune_rate,
        eight_bit=row.eight_bit,
        keep="last",
        **mixing,
    )
    tuned = finetune_network(voting, parts.frames(row.finetune_t), tuning)
    return tuned.network, tuned.best.validation_accuracy


def _new(row: Row, seed: int) -> torch.nn.Module:
    return new_network(
        "nmnist-3c1fc",
        seed=seed,
        neuron=bounded_neuron(row.neuron, row.lower_bound),
        voting="potential",
        width=row.width,
        batch_norm=row.batch_norm,
    )


def measure(network: torch.nn.Module, test: EventDataset) -> dict[str, object]:
    """Return accuracies and spike differences on recordings that the training has not used."""
    mixed = MixedTimestepNetwork(network)
    in_steps = {str(bins): evaluate(mixed, cache_frames(test, bins)).accuracy for bins in TEST_BINS}
    program = sf.convert(network, input_shape=test.shape)
    events = [recording for recording, _ in test]
    with sf.open_board("twin") as board:
        board.load(program)
        on_twin = board.play(events, keep_events=False).with_labels(test.labels)
    stepped = TorchReference(network, program, bins=T_MAX).play(events, keep_events=False)
    difference = sf.compare(on_twin, stepped)
    return {
        "torch": in_steps,
        "twin": on_twin.accuracy(),
        "spike_difference": difference.spike_difference,
        "layers": {
            layer.name: {
                "spike_difference": layer.spike_difference,
                "twin_spikes": layer.spikes_a / len(test),
                "torch_spikes": layer.spikes_b / len(test),
            }
            for layer in difference.layers
        },
    }


def read_options() -> argparse.Namespace:
    """Return the command line: data, seeds and folders of the results."""
    parser = argparse.ArgumentParser(description="Train and measure one row of the N-MNIST table.")
    parser.add_argument("--data", required=True, help="N-MNIST: Train inside, or label folders")
    parser.add_argument("--synthetic", help="recordings of make_synthetic.py, for rows with them")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1000, 2000, 3000])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--work", type=Path, required=True, help="folder for trained networks")
    return parser.parse_args()
