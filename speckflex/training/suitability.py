"""Checks of a network before any recording is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from speckflex._support.text import first_line
from speckflex.errors import NetworkError, TrainingError
from speckflex.networks.copying import copy_network
from speckflex.networks.time_stepped import is_time_stepped
from speckflex.training._calibration import BatchNorm
from speckflex.training._evaluation import mean_output
from speckflex.training.mixed.stages import MixedTimestepNetwork

if TYPE_CHECKING:
    from speckflex.program.records import Shape
    from speckflex.training.settings import TrainingSettings

__all__ = ["check_bias_free", "check_time_stepped", "check_trainable"]


@torch.no_grad()
def check_trainable(network: nn.Module, input_shape: Shape, n_classes: int) -> None:
    """Check, on one empty frame, that a network can be trained.

    Args:
        network: stays as it is.
        input_shape: (channel, y, x) of the frames.
        n_classes: number of classes of the recordings.

    Raises:
        NetworkError: it is no chain of layers on squeezed frames, has no neuron, does not run on
            such frames, or scores fewer classes.
    """
    mixed = MixedTimestepNetwork(copy_network(network)).eval()
    frames = torch.zeros((1, 1, *input_shape), dtype=torch.uint8)
    try:
        # Random numbers of a layer here must not change those of the training.
        with torch.random.fork_rng(devices=[]):
            scores = mean_output(mixed(frames))
    except (RuntimeError, ValueError, IndexError) as error:
        raise NetworkError(
            f"network {type(network).__name__} does not run on frames of shape"
            f" {tuple(input_shape)} (channel, y, x) ({first_line(error)}): choose recordings of its"
            " own input shape, or give them that shape, such as with --resize"
        ) from error
    if scores.shape[1] < n_classes:
        raise NetworkError(
            f"network {type(network).__name__} has {scores.shape[1]} outputs, the recordings have"
            f" {n_classes} classes: give it at least {n_classes} outputs"
        )


def check_time_stepped(network: nn.Module, settings: TrainingSettings) -> None:
    """Check that nothing of the chip is asked of a network that runs in time steps only.

    Raises:
        TrainingError: the settings need its program, or belong to neurons of the chip.
    """
    if not is_time_stepped(network):
        return
    for_chip = {
        f"method {settings.method}": settings.method in {"law", "mtsnn", "board"},
        f"choosing by the {settings.chooser}": settings.chooser != "torch",
        "training through 8-bit weights": settings.eight_bit,
        "clipped weights": settings.clip_weights,
        "a weight of synaptic operations": settings.pricing != 0.0,
    }
    for name, wanted in for_chip.items():
        if wanted:
            raise TrainingError(
                f"{name} needs neurons of the chip, and the network is time-stepped in torch only:"
                " leave this setting out, or train a network with IF neurons such as nmnist-3c1fc"
            )


def check_bias_free(network: nn.Module) -> None:
    """Check that no weight layer or batch norm adds a constant.

    Raises:
        TrainingError: the network has a bias or a running mean.
    """
    for name, module in network.named_modules():
        biased = isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None
        if isinstance(module, BatchNorm):
            constants = (module.running_mean, module.bias)
            biased = any(c is not None and bool(c.detach().any()) for c in constants)
        if biased:
            raise TrainingError(
                f"layer {name} adds a constant in each time step, and the chip has no time steps:"
                " fold the network first (speckflex fold)"
            )
