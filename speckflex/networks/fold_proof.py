"""Proof that a folded network computes the same as its original without means and biases."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from speckflex._support.text import first_line
from speckflex.errors import NetworkError
from speckflex.networks.copying import copy_network
from speckflex.networks.layer_kinds import kind_of, name_of
from speckflex.networks.trace import takes_time_axis

if TYPE_CHECKING:
    from collections.abc import Callable

    from speckflex.program.records import Shape

__all__ = ["TOLERANCE", "check_no_bias", "prove_folding"]

# Weights are stored in float32, whose rounding is 6e-8 of the largest weight.
TOLERANCE = 1e-6
FRAMES = 8
EVENTS_PER_PIXEL = 0.5

Calls = dict[str, list[tuple[torch.Tensor, torch.Tensor]]]


def check_no_bias(network: nn.Module) -> None:
    """Check that no layer adds a constant.

    Raises:
        NetworkError: a layer has a bias, or keeps a running mean.
    """
    for name, module in network.named_modules():
        keys = [key for key, _ in module.named_parameters(recurse=False)]
        keys += [key for key, _ in module.named_buffers(recurse=False)]
        for key in keys:
            if "bias" in key or key == "running_mean":
                raise NetworkError(
                    f"layer {name_of(name)} ({type(module).__name__}) keeps its {key}: folding"
                    " drops biases of convolutions, linear layers and batch norms only, so replace"
                    " the layer"
                )


@torch.no_grad()
def prove_folding(
    original: nn.Module, folded: nn.Module, *, input_shape: Shape, seed: int = 0
) -> float:
    """Return the largest relative difference between a folded network and its original.

    The running means and biases of the original are set to zero. Then both networks get the same
    random events, in float64. The function compares the outputs of the networks and the inputs of
    every neuron layer. A neuron near its threshold would turn a rounding error into a spike, so
    the folded network's neurons return the original's spikes instead of their own; the function
    checks that the neurons are the same. It adds random events to these spikes, so that no layer
    gets only zeros.

    Args:
        original: the network before folding.
        folded: the network after folding.
        input_shape: (channel, y, x), or whatever one frame of the network's input is.
        seed: of the random events.

    Raises:
        NetworkError: a bias is left, a neuron changed, the input shape does not fit, or a
            difference exceeds `TOLERANCE`, relative to the largest value of its layer.
    """
    check_no_bias(folded)
    reference, subject = _bias_free(original), _bias_free(folded)
    _check_same_neurons(reference, subject)
    generator = torch.Generator().manual_seed(seed)
    events = _random_events(reference, input_shape, generator)
    calls: Calls = defaultdict(list)
    expected = _run(reference, events, lambda name: _recorder(calls[name], generator))
    differences: dict[str, float] = {}
    output = _run(subject, events, lambda name: _comparer(name, calls[name], differences))
    differences["its output"] = _difference(output, expected)
    worst = max(differences, key=lambda name: differences[name])
    if not differences[worst] <= TOLERANCE:
        raise NetworkError(
            f"the folded network differs from its bias-free original by {differences[worst]:.3g}"
            f" at {worst}, more than {TOLERANCE:g}: the folding is wrong, please report it"
        )
    return differences[worst]


def _bias_free(network: nn.Module) -> nn.Module:
    """Return a copy in float64, in evaluation mode, at rest, its means and biases zero."""
    copied = copy_network(network).double().eval()
    for module in copied.modules():
        kind, layer = kind_of(module), cast("Any", module)
        if kind.role == "neurons":
            layer.reset_states()
        elif (kind.foldable or kind.role == "norm") and layer.bias is not None:
            layer.bias.zero_()
        if kind.role == "norm" and layer.running_mean is not None:
            layer.running_mean.zero_()
    return copied


def _check_same_neurons(reference: nn.Module, subject: nn.Module) -> None:
    names = [_neurons(network) for network in (reference, subject)]
    if list(names[0]) != list(names[1]):
        raise NetworkError(
            f"the folded network has the neurons {list(names[1])}, its original {list(names[0])}:"
            " folding must keep them"
        )
    for name, neuron in names[0].items():
        other = dict(names[1][name].named_parameters())
        for key, value in neuron.named_parameters():
            if not torch.equal(value, other.get(key, torch.empty(0))):
                raise NetworkError(
                    f"neurons {name_of(name)} changed their {key}: folding must keep it"
                )


def _neurons(network: nn.Module) -> dict[str, nn.Module]:
    return {
        name: module
        for name, module in network.named_modules()
        if kind_of(module).role == "neurons"
    }


def _random_events(
    network: nn.Module, input_shape: Shape, generator: torch.Generator
) -> torch.Tensor:
    """Return random events, with a time axis where the network's neurons want one."""
    neurons = list(_neurons(network).values())
    sizes = [
        size
        for neuron in neurons
        for size in (getattr(neuron, "batch_size", 1), getattr(neuron, "num_timesteps", 1))
        if isinstance(size, int) and size > 0
    ]
    shape = (math.lcm(FRAMES, *sizes), *input_shape)
    if takes_time_axis(network, input_shape):
        shape = (1, *shape)
    return _poisson(shape, generator).to(next(network.parameters()).device)


def _poisson(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    rate = torch.full(shape, EVENTS_PER_PIXEL, dtype=torch.float64)
    return torch.poisson(rate, generator=generator)


def _run(
    network: nn.Module, events: torch.Tensor, hook: Callable[[str], Callable[..., object]]
) -> torch.Tensor:
    for name, neuron in _neurons(network).items():
        neuron.register_forward_hook(hook(name))
    try:
        return network(events)
    except (RuntimeError, ValueError, IndexError) as error:
        raise NetworkError(
            f"the network does not run on input {tuple(events.shape[-3:])} ({first_line(error)}):"
            " check the input shape (channel, y, x)"
        ) from error


def _recorder(
    calls: list[tuple[torch.Tensor, torch.Tensor]], generator: torch.Generator
) -> Callable[..., torch.Tensor]:
    def record(
        _: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor
    ) -> torch.Tensor:
        # sinabs' neurons return float32, whatever the dtype of their input is.
        spikes = output.double() + _poisson(tuple(output.shape), generator).to(output.device)
        calls.append((inputs[0].clone(), spikes))
        return calls[-1][1]

    return record


def _comparer(
    name: str, calls: list[tuple[torch.Tensor, torch.Tensor]], differences: dict[str, float]
) -> Callable[..., torch.Tensor]:
    remaining = iter(calls)

    def compare(_: nn.Module, inputs: tuple[torch.Tensor, ...], __: object) -> torch.Tensor:
        # A layer that is called more often than in the original has nothing to compare with.
        expected, spikes = next(remaining, (torch.empty(0), inputs[0]))
        differences[name] = max(differences.get(name, 0.0), _difference(inputs[0], expected))
        return spikes

    return compare


def _difference(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the largest difference, relative to the largest expected value."""
    if actual.shape != expected.shape:
        return math.inf
    scale = float(expected.abs().max()) or 1.0
    difference = float((actual - expected).abs().max()) / scale
    return math.inf if math.isnan(difference) else difference
