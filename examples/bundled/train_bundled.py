"""Train the network that `speckflex demo` plays: synthetic digits, a few minutes on one core.

    python examples/bundled/train_bundled.py --out speckflex/models/synthetic-digits.pt
    python examples/bundled/train_bundled.py --tiny --out tiny.pt      # only shows that it runs

The 1500 training images of scikit-learn's digits move in front of a simulated sensor; they train
and choose. Each trains a second time, rotated, stretched and sheared, because the other 297 images
show other handwriting; those are only played at the end, in torch and on the twin.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from distorted_digits import distorted_recordings

import speckflex as sf
from speckflex.data import open_dataset
from speckflex.networks.files import save_network
from speckflex.training import (
    FrameSet,
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
TINY = {"epochs": 1, "finetune_epochs": 1, "finetune_t": 3, "every": 50}


def main() -> None:
    """Train, fine-tune, save, and print the accuracy on unseen images."""
    options = _options()
    torch.set_num_threads(1)
    base = TrainingSettings(
        epochs=options.epochs, augment="shift:2", clip_weights=True, seed=options.seed
    )
    tuning = TrainingSettings(
        method="mtt",
        t_max=options.finetune_t,
        epochs=options.finetune_epochs,
        learning_rate=1e-3,
        augment="shift:2",
        clip_weights=True,
        eight_bit=True,
        seed=options.seed,
    )
    data = _data(base, options.every)
    network = new_network(
        "nmnist-3c1fc",
        seed=options.seed,
        neuron=bounded_neuron("multi-spike", options.lower_bound),
        voting="potential",
    )
    trained = train_network(network, data, base)
    print("trained:", trained.best, flush=True)
    tuned = finetune_network(
        add_voting_neuron(trained.network), _data(tuning, options.every), tuning
    )
    print("fine-tuned:", tuned.best, flush=True)
    save_network(tuned.network, options.out)
    print("written:", options.out)
    _report(tuned.network, options.every)


def _data(settings: TrainingSettings, every: int) -> TrainingData:
    """Return the recordings of the training images; those that train also in a distorted form."""
    recordings = open_dataset("synthetic-digits", split="train")
    split = split_by_class(recordings.labels, settings.validation_share, seed=settings.seed)
    chosen, held_out = split.training[::every], split.validation[::every]
    training = cache_frames(recordings.subset(chosen), settings.t_max)
    more = distorted_recordings(chosen, settings.t_max, seed=settings.seed)
    joined = FrameSet(
        torch.cat([training.frames, more.frames]), torch.cat([training.labels, more.labels])
    )
    return TrainingData(joined, cache_frames(recordings.subset(held_out), settings.t_max))


def _report(network: torch.nn.Module, every: int) -> None:
    """Print the accuracy on unseen images, in torch and on the twin."""
    dataset = open_dataset("synthetic-digits", split="test")
    dataset = dataset.subset(np.arange(0, len(dataset), every))
    for n_bins in (10, 50):
        accuracy = evaluate(MixedTimestepNetwork(network), cache_frames(dataset, n_bins)).accuracy
        print(f"unseen images, torch at T = {n_bins}: {accuracy:.2%} of {len(dataset)}")
    program = sf.convert(network, input_shape=dataset.shape)
    with sf.open_board("twin") as board:
        board.load(program)
        recording = board.play([events for events, _ in dataset], monitor=[-1], keep_events=False)
    accuracy = recording.with_labels(dataset.labels).accuracy()
    print(f"unseen images, twin: {accuracy:.2%} of {len(dataset)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train the network of the demo.")
    parser.add_argument("--out", type=Path, required=True, help="the .pt file to write")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--finetune-epochs", type=int, default=3)
    parser.add_argument("--finetune-t", type=int, default=40)
    parser.add_argument("--lower-bound", type=float, default=-8.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=1, help="use only every n-th recording")
    parser.add_argument("--tiny", action="store_true", help="a few seconds, shows that it runs")
    options = parser.parse_args()
    vars(options).update(TINY if options.tiny else {})
    return options


if __name__ == "__main__":
    main()
