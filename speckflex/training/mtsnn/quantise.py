"""From a network with neurons or ReLUs to one of quantised ReLUs, with steps that fit its data."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sinabs.layers import StatefulLayer
from torch import nn

from speckflex.errors import TrainingError
from speckflex.networks.copying import copy_network
from speckflex.networks.quantised import (
    MOST_BITS,
    QuantisedReLU,
    check_whole_chain,
    quantised_layers,
)
from speckflex.training.mixed.stages import MixedTimestepNetwork
from speckflex.training.settings import parse_bits

if TYPE_CHECKING:
    from speckflex.training.data import FrameSet
    from speckflex.training.settings import TrainingSettings

__all__ = ["quantised_network", "set_steps"]

RECORDINGS = 256  # whose drives the first steps are set by
QUANTILE = 0.995
MOST_VALUES = 1_000_000  # of which a quantile is taken
MORE_BITS = 0.5  # at the start, than the mean of the levels allows


def quantised_network(network: nn.Module, settings: TrainingSettings) -> nn.Module:
    """Return a network with a quantised ReLU in the place of each neuron layer and ReLU.

    Args:
        network: a chain of layers; stays as it is. A network that has quantised ReLUs keeps them.
        settings: bit widths or their mean; with one frame in a recording counts have a ceiling.

    Raises:
        TrainingError: the number of bit widths is not that of the layers.
        NetworkError: the network is no chain.
    """
    if quantised_layers(network):
        return network
    copied = copy_network(network)
    kinds = (StatefulLayer, nn.ReLU)
    places = [place for place in check_whole_chain(copied) if isinstance(place[2], kinds)]
    given = parse_bits(settings.bits)
    if given and len(given) != len(places):
        raise TrainingError(
            f"bits {settings.bits}: names {len(given)} bit widths, and the network has"
            f" {len(places)} layers with neurons: give {len(places)}"
        )
    start = min(math.log2(settings.mean_t + 1) + MORE_BITS, MOST_BITS)
    for index, (parent, name, layer) in enumerate(places):
        quantised = QuantisedReLU(
            bits=given[index] if given else max(start, 1),
            ceiling=settings.t_max == 1,
            # a last layer that counts would learn nothing from a class that is silent
            soft=settings.t_max > 1 or index == len(places) - 1,
        )
        quantised.bits.requires_grad_(not given)
        setattr(parent, name, quantised.train(layer.training))
    return copied


@torch.no_grad()
def set_steps(network: nn.Module, recordings: FrameSet, *, seed: int) -> None:
    """Change the steps so that nearly all drives of some recordings stay within the levels.

    A step becomes the 99.5 % quantile of the highest drives above 0, over the levels.

    Args:
        network: of quantised ReLUs.
        recordings: up to 256 of them are run.
        seed: draws them.
    """
    chosen = np.random.default_rng(seed).permutation(len(recordings))[:RECORDINGS]
    frames = recordings.frames[torch.from_numpy(np.sort(chosen))]
    mixed = MixedTimestepNetwork(network)
    hooks = [
        layer.register_forward_pre_hook(partial(_set_step)) for layer in quantised_layers(network)
    ]
    training = network.training
    network.eval()
    try:
        mixed(frames)
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()


def _set_step(layer: Any, inputs: tuple[torch.Tensor, ...]) -> None:
    drive = inputs[0].unflatten(0, (layer.batch_size, -1))
    highest = drive.cumsum(1).amax(1).relu().flatten()
    highest = highest[highest > 0]
    if len(highest):
        some = highest[:: -(-len(highest) // MOST_VALUES)]
        layer.step.fill_(float(torch.quantile(some, QUANTILE)) / (2**layer.bit_width - 1))
