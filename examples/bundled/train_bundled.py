"""Train the network that `speckflex demo` plays: synthetic digits, ten minutes on one core.

    python examples/bundled/train_bundled.py --out speckflex/models/synthetic-digits.pt
    python examples/bundled/train_bundled.py --tiny --out tiny.pt      # only shows that it runs

The 1500 training images of scikit-learn's digits move in front of a simulated sensor; they train
and choose. Each trains a second time, rotated, stretched and sheared, because the other 297 images
show other handwriting; those are only played at the end, in torch and on the twin.

Four trainings follow each other: at ten time steps, where each synaptic operation adds to the loss;
with the twin in the loop, event by event on the chip's 8 bits; in time steps again on 8 bits, where
synaptic operations cost more, until every core keeps up; and with the twin in the loop again.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from distorted_digits import distorted_recordings

import speckflex as sf
from speckflex.analysis.core_load import measure_load
from speckflex.data import EventDataset, open_dataset
from speckflex.networks.files import save_network
from speckflex.training import (
    TrainingData,
    TrainingSettings,
    cache_frames,
    evaluate,
    finetune_network,
    train_network,
)
from speckflex.training.data import split_by_class
from speckflex.training.mixed.stages import MixedTimestepNetwork
from speckflex.training.pipeline import add_voting_neuron, bounded_neuron, new_network

# A few seconds; the figures mean nothing.
TINY = {
    "epochs": 1,
    "loop_epochs": 1,
    "loop_t": 3,
    "lighter_epochs": 1,
    "again_epochs": 1,
    "every": 50,
}


def main() -> None:
    """Train, fine-tune, save, and print the accuracy on unseen images."""
    options = _options()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        recordings = _recordings(Path(folder), options.every, options.seed)
        network = _train(recordings, options)
    save_network(network, options.out)
    print("written:", options.out)
    _report(network, options.every)


@dataclass(frozen=True)
class Recordings:
    """The recordings of the training images.

    Args:
        training: those that train, each also in a distorted form.
        validation: those that choose the best epoch.
    """

    training: EventDataset
    validation: EventDataset

    def frames(self, n_bins: int) -> TrainingData:
        """Return all recordings in `n_bins` frames."""
        return TrainingData(
            cache_frames(self.training, n_bins), cache_frames(self.validation, n_bins)
        )


def _train(recordings: Recordings, options: argparse.Namespace) -> torch.nn.Module:
    """Return the network after its four trainings."""
    base = TrainingSettings(
        epochs=options.epochs,
        augment="shift:2",
        clip_weights=True,
        seed=options.seed,
        synops_weight=options.synops_weight,
    )
    loop = replace(
        base,
        method="board",
        t_max=options.loop_t,
        epochs=options.loop_epochs,
        learning_rate=1e-3,
        synops_weight=0.0,
        max_load=options.max_load,
    )
    lighter = replace(
        base,
        epochs=options.lighter_epochs,
        learning_rate=1e-3,
        eight_bit=True,
        synops_weight=options.lighter_weight,
        keep="last",  # each epoch is lighter than the one before
    )
    again = replace(loop, epochs=options.again_epochs, learning_rate=5e-4, keep="last")
    network = new_network(
        "nmnist-3c1fc",
        seed=options.seed,
        neuron=bounded_neuron("multi-spike", options.lower_bound),
        voting="potential",
    )
    trained = train_network(network, recordings.frames(base.t_max), base)
    print("trained:", trained.best, flush=True)
    network = add_voting_neuron(trained.network)
    stages = {"with the twin in the loop": loop, "lighter": lighter, "the loop again": again}
    for name, settings in stages.items():
        tuned = finetune_network(network, recordings.frames(settings.t_max), settings)
        print(f"{name}:", tuned.best, flush=True)
        network = tuned.network
    return network


def _recordings(folder: Path, every: int, seed: int) -> Recordings:
    """Return the recordings of every n-th training image; `folder` keeps the distorted ones."""
    cache = folder / "cache" if every == 1 else None
    whole = open_dataset("synthetic-digits", split="train", cache=cache)
    split = split_by_class(whole.labels, TrainingSettings().validation_share, seed=seed)
    chosen, held_out = split.training[::every], split.validation[::every]
    plain, distorted = whole.subset(chosen), distorted_recordings(chosen, folder, seed=seed)
    joined = replace(
        plain,
        labels=np.concatenate([plain.labels, distorted.labels]),
        items=tuple((part, item) for part in (plain, distorted) for item in part.items),
        read=lambda item: item[0].events_of(item[1]),
    )
    return Recordings(joined, whole.subset(held_out))


def _report(network: torch.nn.Module, every: int) -> None:
    """Print accuracy and load on unseen images, in torch and on the twin."""
    dataset = open_dataset("synthetic-digits", split="test")
    dataset = dataset.subset(np.arange(0, len(dataset), every))
    for n_bins in (10, 50):
        accuracy = evaluate(MixedTimestepNetwork(network), cache_frames(dataset, n_bins)).accuracy
        print(f"unseen images, torch at T = {n_bins}: {accuracy:.2%} of {len(dataset)}")
    program = sf.convert(network, input_shape=dataset.shape)
    samples = [events for events, _ in dataset]
    with sf.open_board("twin") as board:
        board.load(program)
        recording = board.play(samples, monitor=[-1], keep_events=False)
    accuracy = recording.with_labels(dataset.labels).accuracy()
    print(f"unseen images, twin: {accuracy:.2%} of {len(dataset)}")
    for load in measure_load(program, samples):
        print(f"{load.name}: {load.verdict}, {load.factor:.2f} times its rate (unverified)")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train the network of the demo.")
    parser.add_argument("--out", type=Path, required=True, help="the .pt file to write")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--loop-epochs", type=int, default=3)
    parser.add_argument("--loop-t", type=int, default=20)
    parser.add_argument("--synops-weight", type=float, default=0.15)
    parser.add_argument("--lighter-epochs", type=int, default=3)
    parser.add_argument("--lighter-weight", type=float, default=0.6)
    parser.add_argument("--again-epochs", type=int, default=2)
    parser.add_argument("--max-load", type=float, default=0.8)
    parser.add_argument("--lower-bound", type=float, default=-8.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=1, help="use only every n-th recording")
    parser.add_argument("--tiny", action="store_true", help="a few seconds, shows that it runs")
    options = parser.parse_args()
    vars(options).update(TINY if options.tiny else {})
    return options


if __name__ == "__main__":
    main()
