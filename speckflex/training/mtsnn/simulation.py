"""A network of quantised ReLUs in time steps, each layer in as many as it has levels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import torch

from speckflex.errors import TrainingError
from speckflex.networks.quantised import HALF, QuantisedReLU, check_whole_chain
from speckflex.training.mixed.temporal import TemporalTransform

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Simulated", "Way", "simulate"]

Way = Literal["exact", "steps"]


class Simulated(NamedTuple):
    """What a simulation gave.

    Args:
        output: (recording, ...), the mean over the steps of the last layer.
        counts: of each quantised layer, (recording, ...) spikes.
        timesteps: of each quantised layer.
    """

    output: torch.Tensor
    counts: tuple[torch.Tensor, ...]
    timesteps: tuple[int, ...]


@torch.no_grad()
def simulate(network: nn.Module, values: torch.Tensor, *, way: Way) -> Simulated:
    """Run a network of quantised ReLUs as neurons that fire at most once in a step.

    A layer with L levels runs in L steps, its neurons start at half their threshold `s L`, and a
    spike is worth the threshold. "exact": a layer takes in all that the layer before sends before
    it fires (as PASCAL, arXiv 2505.01730, does), so that its counts are those of the network,
    whatever the order of spikes. "steps": it fires as spikes arrive, and between layers of
    different length frames keep their mean; counts then depend on when spikes come.

    Args:
        network: a chain of layers with a ceiling and whole bit widths.
        values: (recording, channel, y, x), what the first layer gets in each step.
        way: "exact" or "steps".

    Raises:
        TrainingError: the way is not known, or a layer has no ceiling or part of a bit.
    """
    if way not in get_args(Way):
        raise TrainingError(f"way {way!r} is not known: choose one of {', '.join(get_args(Way))}")
    frames = values[:, None]
    counts, timesteps = [], []
    for _, name, layer in check_whole_chain(network):
        if not isinstance(layer, QuantisedReLU):
            frames = _run(layer, frames)
            continue
        _check(layer, name)
        spikes = _exact(layer, frames) if way == "exact" else _in_steps(layer, frames)
        counts.append(spikes.sum(1))
        timesteps.append(layer.levels)
        # exact: the next layer starts when all spikes are there, worth a step each
        frames = counts[-1][:, None] * layer.step if way == "exact" else spikes * _threshold(layer)
    return Simulated(frames.mean(1), tuple(counts), tuple(timesteps))


def _run(layer: nn.Module, frames: torch.Tensor) -> torch.Tensor:
    return layer(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])


def _check(layer: QuantisedReLU, name: str) -> None:
    if not layer.ceiling or layer.bit_width % 1:
        raise TrainingError(
            f"layer {name} has {layer.bit_width:g} bits and ceiling {layer.ceiling}: time steps"
            " are for whole bits and counts that end: train with one frame to the end"
        )


def _threshold(layer: QuantisedReLU) -> torch.Tensor:
    return layer.step * layer.levels


def _exact(layer: QuantisedReLU, frames: torch.Tensor) -> torch.Tensor:
    """Return the (recording, step, ...) spikes of neurons that have taken in everything."""
    # in units of the step, where taking away whole numbers is exact
    arriving = torch.zeros_like(frames[:, :1]).repeat_interleave(layer.levels, 1)
    arriving[:, 0] = frames[:, 0] / layer.step
    return _fire(arriving, torch.ones(()))


def _in_steps(layer: QuantisedReLU, frames: torch.Tensor) -> torch.Tensor:
    aligned: Any = TemporalTransform(layer.levels, upsampling="rate", downsampling="rate")(frames)
    return _fire(aligned, _threshold(layer))


def _fire(currents: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
    """Return the spikes of currents, both (recording, step, ...)."""
    potential = torch.zeros_like(currents[:, 0]) + HALF * threshold
    spikes = torch.empty_like(currents)
    for step in range(currents.shape[1]):
        potential = potential + currents[:, step]
        spikes[:, step] = (potential >= threshold).to(currents)
        potential = potential - spikes[:, step] * threshold
    return spikes
