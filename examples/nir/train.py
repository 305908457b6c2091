"""Train a spiking network in plain torch, without sinabs, on synthetic digits.

    python examples/nir/train.py --out weights.npz

Integrate-and-fire neurons of threshold 1 without bias, as in every framework. The last layer has no
neurons: its potentials vote.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from speckflex.data import EventDataset, open_dataset
from speckflex.events.frames import to_frames

LOWER_BOUND = -1.0  # speckflex gives this one to neurons of a NIR graph, which have none there


class Spike(torch.autograd.Function):
    """One spike for each whole threshold of a potential; a triangle as its gradient."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, potential: torch.Tensor) -> torch.Tensor:
        """Return the number of spikes of each neuron."""
        ctx.save_for_backward(potential)
        return potential.clamp(min=0).floor()

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: torch.Tensor) -> torch.Tensor:
        """Return the gradient with respect to the potential."""
        (potential,) = ctx.saved_tensors
        return gradient * (1 - (potential - 1).abs() / 1.5).clamp(min=0.1 * (potential > 0))


class SpikingNetwork(nn.Module):
    """Two convolutions and a linear layer of integrate-and-fire neurons."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 8, 3, stride=2, padding=1, bias=False)
        self.conv2 = nn.Conv2d(8, 16, 3, stride=2, bias=False)
        self.linear = nn.Linear(16 * 4 * 4, 10, bias=False)
        with torch.no_grad():
            for layer in (self.conv1, self.conv2):
                layer.weight *= 2

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the mean input of ten output neurons for frames (sample, time, channel, y, x)."""
        spikes = integrate_and_fire(self.conv1(frames.flatten(0, 1)), len(frames))
        spikes = integrate_and_fire(self.conv2(spikes), len(frames))
        # A sum, as on the chip, where every spike arrives.
        pooled = functional.avg_pool2d(spikes, 2, divisor_override=1)
        return self.linear(pooled.flatten(1)).unflatten(0, (len(frames), -1)).mean(1)


def integrate_and_fire(current: torch.Tensor, n_samples: int) -> torch.Tensor:
    """Return the spikes of neurons that get a current (sample x time, ...), in the same shape."""
    steps = current.unflatten(0, (n_samples, -1))
    potential, spikes = torch.zeros_like(steps[:, 0]), []
    for step in steps.unbind(1):
        potential = potential + step
        fired = Spike.apply(potential)
        potential = (potential - fired).clamp(min=LOWER_BOUND)
        spikes.append(fired)
    return torch.stack(spikes, 1).flatten(0, 1)


def read_frames(dataset: EventDataset, n_bins: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (sample, time, channel, y, x) frames and labels."""
    frames = np.stack([to_frames(events, dataset.shape, n_bins) for events, _ in dataset])
    return torch.as_tensor(frames, dtype=torch.float32), torch.as_tensor(dataset.labels)


def main() -> None:
    """Train, print the accuracy on other images, and write the weights."""
    parser = argparse.ArgumentParser(description="Train a spiking network in plain torch.")
    parser.add_argument("--samples", type=int, default=1000, help="training recordings")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--bins", type=int, default=10, help="time steps of a recording")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="the .npz file to write")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    training = open_dataset("synthetic-digits", split="train", limit=options.samples)
    frames, labels = read_frames(training, options.bins)
    network = SpikingNetwork()
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, options.epochs)
    for _ in range(options.epochs):
        for batch in torch.randperm(len(labels)).split(32):
            loss = functional.cross_entropy(network(frames[batch]), labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()
    test, expected = read_frames(open_dataset("synthetic-digits", limit=200), options.bins)
    with torch.no_grad():
        right = (network(test).argmax(1) == expected).float().mean()
    print(f"synthetic digits: {right:.1%} of {len(test)} right at T = {options.bins}")
    np.savez(options.out, **{name: weight.numpy() for name, weight in network.state_dict().items()})
    print(f"written: {options.out}")


if __name__ == "__main__":
    main()
