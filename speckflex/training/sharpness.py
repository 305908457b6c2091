"""How flat the minimum is in which a training ended: landscape, gradients, noise on weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from speckflex.errors import TrainingError
from speckflex.networks.copying import copy_network
from speckflex.training._evaluation import evaluate, mean_output
from speckflex.training.mixed.stages import MixedTimestepNetwork

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.training.data import FrameSet

__all__ = [
    "GradientLengths",
    "filter_direction",
    "gradient_lengths",
    "input_noise",
    "loss_landscape",
    "weight_noise",
]

BATCH = 32


@dataclass(frozen=True)
class GradientLengths:
    """Lengths of the gradient of the mean cross entropy (MTT paper, A.11).

    Args:
        weights: of the gradient on all weights with two or more axes, over all recordings.
        inputs: of the gradient of one recording's loss on its frames, the mean over recordings.
    """

    weights: float
    inputs: float


def filter_direction(network: nn.Module, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Return a direction for each weight with two or more axes, by name (Li et al. 2018).

    It is drawn from a normal distribution, and each filter, the part of one output channel, is
    scaled to the length of the filter of the network. Other parameters have none. Two networks with
    the same shapes get the same draws from the same seed.
    """
    direction = {}
    for name, weights in network.named_parameters():
        if weights.dim() < 2:
            continue
        drawn = torch.randn(weights.shape, generator=generator)
        own, drawn = weights.detach().cpu().flatten(1), drawn.flatten(1)
        lengths = own.norm(dim=1, keepdim=True) / drawn.norm(dim=1, keepdim=True)
        direction[name] = (drawn * lengths).view_as(weights)
    return direction


def loss_landscape(
    network: nn.Module, recordings: FrameSet, positions: Sequence[float], *, seed: int = 0
) -> list[float]:
    """Return the loss along a line through the weights: `L(w + a d)`.

    Args:
        network: a chain of layers with sinabs neurons; stays as it is.
        recordings: frames with labels, at least one.
        positions: a, such as from -1 to 1.
        seed: of the direction d, see `filter_direction`.
    """
    direction = filter_direction(network, torch.Generator().manual_seed(seed))
    return [
        evaluate(_moved(network, direction, position), recordings).loss for position in positions
    ]


def weight_noise(
    network: nn.Module, recordings: FrameSet, sigma: float, *, runs: int = 5, seed: int = 0
) -> list[float]:
    """Return the accuracy of each run with `w + N(0, sigma^2)`, in time steps (MTT paper, 5.1).

    Args:
        network: a chain of layers with sinabs neurons; stays as it is.
        recordings: frames with labels, at least one.
        sigma: standard deviation of the noise on each weight with two or more axes, 0 or more.
        runs: number of draws, at least 1.
        seed: of the draws.

    Raises:
        TrainingError: sigma is below 0.
    """
    if not sigma >= 0:
        raise TrainingError(f"a noise of sigma {sigma} on the weights: give 0 or more")
    found = []
    for run in range(runs):
        generator = torch.Generator().manual_seed(seed + run)
        noise = {
            name: torch.randn(weights.shape, generator=generator)
            for name, weights in network.named_parameters()
            if weights.dim() > 1
        }
        found.append(evaluate(_moved(network, noise, sigma), recordings).accuracy)
    return found


def input_noise(
    network: nn.Module, recordings: FrameSet, sigma: float, *, runs: int = 5, seed: int = 0
) -> list[float]:
    """Return the accuracy of each run with `x + N(0, sigma^2)`, in time steps.

    Args:
        network: a chain of layers with sinabs neurons; stays as it is.
        recordings: frames with labels, at least one.
        sigma: standard deviation of the noise on each count of each frame, 0 or more.
        runs: number of draws, at least 1.
        seed: of the draws.

    Raises:
        TrainingError: sigma is below 0.
    """
    if not sigma >= 0:
        raise TrainingError(f"a noise of sigma {sigma} on the input: give 0 or more")
    mixed, found = MixedTimestepNetwork(copy_network(network)), []
    for run in range(runs):
        generator = torch.Generator().manual_seed(seed + run)
        noise = torch.randn(recordings.frames.shape, generator=generator)
        frames = recordings.frames[:].to(noise.dtype) + sigma * noise
        found.append(evaluate(mixed, replace(recordings, frames=frames)).accuracy)
    return found


def gradient_lengths(network: nn.Module, recordings: FrameSet) -> GradientLengths:
    """Return the lengths of the loss's gradients, with the surrogate gradient of the neurons.

    Args:
        network: a chain of layers with sinabs neurons; stays as it is.
        recordings: frames with labels, at least one.
    """
    return _lengths(MixedTimestepNetwork(copy_network(network)).eval(), recordings)


def _lengths(network: nn.Module, recordings: FrameSet) -> GradientLengths:
    """Do what `gradient_lengths` does for a network (batch, time, ...) -> (batch, time, class)."""
    weights = [weight for weight in network.parameters() if weight.dim() > 1]
    sums = [torch.zeros_like(weight) for weight in weights]
    inputs = 0.0
    for start in range(0, len(recordings), BATCH):
        frames = recordings.frames[start : start + BATCH].to(weights[0].dtype).requires_grad_()
        labels = recordings.labels[start : start + BATCH]
        loss = functional.cross_entropy(mean_output(network(frames)), labels, reduction="sum")
        of_frames, *of_weights = torch.autograd.grad(loss, [frames, *weights])
        inputs += float(of_frames.flatten(1).norm(dim=1).sum())
        sums = [total + part for total, part in zip(sums, of_weights, strict=True)]
    length = sum(float((total / len(recordings)).pow(2).sum()) for total in sums) ** 0.5
    return GradientLengths(length, inputs / len(recordings))


@torch.no_grad()
def _moved(
    network: nn.Module, direction: dict[str, torch.Tensor], distance: float
) -> MixedTimestepNetwork:
    """Return a copy whose weights are moved along a direction."""
    moved = copy_network(network)
    for name, weights in moved.named_parameters():
        if name in direction:
            weights.copy_(weights + distance * direction[name])
    return MixedTimestepNetwork(moved)
