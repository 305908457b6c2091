"""Neurons without a time loop, for the method "law": the running maximum of their drive."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from sinabs.activation import MembraneSubtract
from sinabs.layers import IAFSqueeze, StatefulLayer

from speckflex.errors import NetworkError
from speckflex.networks.neurons import precharged
from speckflex.networks.running_maximum import law_spikes

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import nn

__all__ = ["check_law", "law_neurons"]


@contextmanager
def law_neurons(network: nn.Module) -> Iterator[None]:
    """Let the neurons of a network follow the law while the context lasts.

    Args:
        network: a chain of layers on squeezed frames, for which `check_law` passes.
    """
    neurons: list[Any] = [layer for layer in network.modules() if isinstance(layer, IAFSqueeze)]
    try:
        for neuron in neurons:
            vars(neuron)["forward"] = partial(_send, neuron)
        yield
    finally:
        for neuron in neurons:
            del vars(neuron)["forward"]


def check_law(network: nn.Module) -> None:
    """Check that the law describes every neuron of a network.

    Raises:
        NetworkError: a neuron leaks, or does not subtract its threshold after a spike.
    """
    for name, layer in network.named_modules():
        if not isinstance(layer, StatefulLayer):
            continue
        kind = type(layer).__name__
        if not isinstance(layer, IAFSqueeze):
            raise NetworkError(
                f"layer {name}: method law describes integrate-and-fire neurons, and this is a"
                f" {kind}: use IAFSqueeze, or another method"
            )
        reset = layer.reset_fn
        if not isinstance(reset, MembraneSubtract) or reset.subtract_value is not None:
            raise NetworkError(
                f"layer {name}: method law describes neurons that subtract their threshold after a"
                f" spike, and this {kind} does not: use MembraneSubtract(), or another method"
            )


def _send(neuron: Any, currents: torch.Tensor) -> torch.Tensor:
    by_sample = precharged(neuron, currents.unflatten(0, (neuron.batch_size, -1)))
    return law_spikes(by_sample, float(neuron.spike_threshold)).flatten(0, 1)
