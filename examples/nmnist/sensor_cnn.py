"""How much a plain convolutional network loses from simulated to real recordings.

    python examples/nmnist/sensor_cnn.py --data NMNIST --simulated SYNTHETIC [OTHER ..]

Each folder, and all of them together, trains a network on counts of events: 34 x 34 pixels, 2
polarities, 3 strokes. It is tested on simulated recordings that were kept apart, and on all real
ones. What it loses between them is the simulated sensor's, not a spiking network's.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from board_data import joined
from torch import nn
from torch.nn import functional

from speckflex.data import open_dataset
from speckflex.training import FrameSet, cache_frames
from speckflex.training.augmentation import Augmentation

STROKES = 3
BATCH = 64


def main() -> None:
    """Train on each folder and print a line for it."""
    options = read_options()
    torch.set_num_threads(1)
    real = cache_frames(open_dataset(options.data, split="train"), STROKES)
    folders = [open_dataset(folder, split="train") for folder in options.simulated]
    sets = dict(zip(map(str, options.simulated), folders, strict=True))
    if len(folders) > 1:
        sets["all"] = joined(folders)
    for name, dataset in sets.items():
        frames = cache_frames(dataset, STROKES)
        order = np.random.default_rng(0).permutation(len(frames))
        apart, training = (frames.select(part) for part in np.split(order, [len(order) // 10]))
        network = train(training, options)
        answers = {"simulated": answer(network, apart), "real": answer(network, real)}
        right = {
            kind: float((found == part.labels.numpy()).mean())
            for (kind, found), part in zip(answers.items(), (apart, real), strict=True)
        }
        print(f"{name}: simulated {right['simulated']:.1%}, real {right['real']:.1%}", flush=True)
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            content = {"trained_on": name, "right": right, "real_answers": answers["real"].tolist()}
            (options.out / f"cnn-{Path(name).name}.json").write_text(json.dumps(content) + "\n")


def train(recordings: FrameSet, options: argparse.Namespace) -> nn.Module:
    """Return a trained network."""
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    network = new_network()
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.01)
    n_batches = len(recordings) // BATCH
    steps = options.epochs * n_batches
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    augmentation = Augmentation.parse(options.augment)
    for _ in range(options.epochs):
        order = rng.permutation(len(recordings))
        for chosen in order[: n_batches * BATCH].reshape(-1, BATCH):
            changes = augmentation.draw(BATCH, rng)
            places = torch.from_numpy(chosen)
            scores = network(counts(changes.of_frames(recordings.frames[places])))
            optimiser.zero_grad()
            functional.cross_entropy(scores, recordings.labels[places]).backward()
            optimiser.step()
            schedule.step()
    return network.eval()


def new_network() -> nn.Sequential:
    """Return the network: three convolutions with batch norm, and a linear layer."""
    layers: list[nn.Module] = []
    channels = 2 * STROKES
    for out, stride in ((16, 2), (32, 2), (32, 2)):
        convolution = nn.Conv2d(channels, out, 3, stride=stride, padding=1)
        layers += [convolution, nn.BatchNorm2d(out), nn.ReLU()]
        channels = out
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * 25, 10))


def counts(frames: torch.Tensor) -> torch.Tensor:
    """Return frames as channels, compressed so that busy pixels don't rule."""
    return frames.flatten(1, 2).float().sqrt()


@torch.no_grad()
def answer(network: nn.Module, recordings: FrameSet) -> np.ndarray:
    """Return the class that a network says of each recording."""
    parts = [network(counts(part)).argmax(1) for part in recordings.frames.split(500)]
    return torch.cat(parts).numpy()


def read_options() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description="Train on simulated recordings, test on real.")
    parser.add_argument("--data", required=True, help="N-MNIST: Train inside, or label folders")
    parser.add_argument("--simulated", type=Path, nargs="+", required=True)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--augment", default="shift:2")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder for the answers")
    return parser.parse_args()


if __name__ == "__main__":
    main()
