"""Whether a network can learn the classes of a data set, told before any recording is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from speckflex.errors import NetworkError, TrainingError
from speckflex.networks.copying import copy_network
from speckflex.training.evaluation import mean_output
from speckflex.training.mixed.stages import MixedTimestepNetwork
from speckflex.training.weight_layers import first_bias

if TYPE_CHECKING:
    from torch import nn

    from speckflex.program.records import Shape

__all__ = ["check_bias_free", "check_trainable"]


@torch.no_grad()
def check_trainable(network: nn.Module, input_shape: Shape, n_classes: int) -> None:
    """Check, on one empty frame, that a network can be trained.

    Args:
        network: stays as it is.
        input_shape: (channel, y, x) of the frames.
        n_classes: how many classes the recordings have.

    Raises:
        NetworkError: it is no chain of layers on squeezed frames, has no neuron, does not run on
            such frames, or scores fewer classes.
    """
    mixed = MixedTimestepNetwork(copy_network(network)).eval()
    frames = torch.zeros((1, 1, *input_shape), dtype=torch.uint8)
    try:
        # what a layer draws here must not change what the training draws
        with torch.random.fork_rng(devices=[]):
            scores = mean_output(mixed(frames))
    except (RuntimeError, ValueError, IndexError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise NetworkError(
            f"network {type(network).__name__} does not run on frames of shape"
            f" {tuple(input_shape)} (channel, y, x) ({reason}): choose recordings of its own input"
            " shape"
        ) from error
    if scores.shape[1] < n_classes:
        raise NetworkError(
            f"network {type(network).__name__} has {scores.shape[1]} outputs, the recordings have"
            f" {n_classes} classes: give it an output for each class"
        )


def check_bias_free(network: nn.Module) -> None:
    """Check that no layer adds a constant.

    Raises:
        TrainingError: the network has a bias or a running mean.
    """
    biased = first_bias(network)
    if biased is not None:
        raise TrainingError(
            f"layer {biased} adds a constant, which an event-driven chip has no clock for:"
            " fold the network first (speckflex fold)"
        )
