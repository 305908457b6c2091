"""Checks of the numbers and functions that a layer takes from its file, kind by kind."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import sinabs.activation as sa
import sinabs.layers as sl
import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from speckflex.errors import NetworkError
from speckflex.networks.layer_kinds import name_of
from speckflex.networks.leaky import LeakySqueeze
from speckflex.networks.neurons import PrechargedIAFSqueeze, Triangular
from speckflex.networks.quantised import MOST_BITS, QuantisedReLU
from speckflex.networks.residual import PixelScale

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["check_all_attributes", "check_attributes"]

# Far beyond the chip's kernels of 16 x 16 and maps of 128 x 128. A larger number makes a layer
# whose output fills the memory, out of a file of a few bytes.
MOST_STEPS = 512
# Attributes of layers that are sizes; weights that a file holds are checked by their shapes.
SIZES = (
    *("kernel_size", "stride", "padding", "dilation", "output_padding", "output_size"),
    *("size", "downscale_factor", "cropping"),
)
FACTORS = ("scale_factor", "upscale_factor")
LARGEST_FACTOR = 16
MOST_AXES = 8
LARGEST_THRESHOLD = 1e30
LARGEST = 2**MOST_BITS
FUNCTIONS = ("spike_fn", "reset_fn", "surrogate_grad_fn")


def check_attributes(module: nn.Module, layer: str) -> None:
    """Check that a layer's own numbers and functions are such as its class has them.

    Args:
        module: a layer, with all that its class sets.
        layer: what messages begin with.

    Raises:
        NetworkError: a size is none, does not fit the weights or is absurd; or a neuron's function
            is none of sinabs'.
    """
    for name in (*SIZES, *FACTORS):
        value = vars(module).get(name)
        most = LARGEST_FACTOR if name in FACTORS else MOST_STEPS
        if value is not None and not _is_size(value, least=-most, most=most):
            raise NetworkError(
                f"{layer} has {name} {_short(value)}, expected numbers up to {most}: make the layer"
                " again and load its weights"
            )
    for kind, check in CHECKS.items():
        if isinstance(module, kind):
            problem = check(module)
            if problem:
                raise NetworkError(f"{layer} {problem}: make the layer again and load its weights")


def check_all_attributes(network: nn.Module, source: str) -> None:
    """Check the attributes of all layers of a network, such as one out of a graph's file.

    Raises:
        NetworkError: as for `check_attributes`.
    """
    for name, module in network.named_modules():
        check_attributes(module, f"{source}: layer {name_of(name)} ({type(module).__name__})")


def _is_size(value: Any, *, least: int, most: int = MOST_STEPS) -> bool:
    """Return whether a value is a number of steps, a few of them, or "same" or "valid"."""
    if isinstance(value, str):
        return value in {"same", "valid"}
    numbers = value if isinstance(value, tuple | list | torch.Size) else (value,)
    return len(numbers) <= MOST_AXES and all(
        number is None
        or (type(number) in {int, float} and math.isfinite(number) and least <= number <= most)
        for number in numbers
    )


def _short(value: Any) -> str:
    text = repr(value) if isinstance(value, int | float | str | tuple | list) else type(value)
    return str(text)[:40]


def _convolution_problem(conv: Any) -> str:
    steps = (conv.kernel_size, conv.stride, conv.dilation)
    if not all(isinstance(pair, tuple) and _is_size(pair, least=1) for pair in steps):
        return (
            f"has kernel size {_short(conv.kernel_size)}, stride {_short(conv.stride)} and dilation"
            f" {_short(conv.dilation)}, which must be positive whole numbers"
        )
    if not (conv.padding in ("same", "valid") or _is_size(conv.padding, least=0)):
        return f"has padding {_short(conv.padding)}, which must be 0 or more"
    if type(conv.groups) is not int or conv.groups < 1:
        return f"has groups {_short(conv.groups)}, which must be a positive whole number"
    channels = (conv.out_channels, conv.in_channels)
    if conv.transposed:
        channels = channels[::-1]
    if not all(type(number) is int and number % conv.groups == 0 for number in channels):
        return f"has {channels} channels, which {conv.groups} groups do not divide"
    shape = (channels[0], channels[1] // conv.groups, *conv.kernel_size)
    return _weight_problem(conv, shape, conv.out_channels)


def _linear_problem(linear: Any) -> str:
    return _weight_problem(linear, (linear.out_features, linear.in_features), linear.out_features)


def _weight_problem(layer: Any, shape: tuple[Any, ...], n_outputs: int) -> str:
    """Return a sentence's end if the weights are not of the shape that the layer's numbers say."""
    for name, expected in (("weight", shape), ("bias", (n_outputs,))):
        values = getattr(layer, name, None)
        if values is None and name == "bias":
            continue
        if not isinstance(values, torch.Tensor) or not values.is_floating_point():
            kind = values.dtype if isinstance(values, torch.Tensor) else type(values).__name__
            return f"has a {name} of {kind}, which is no tensor of floating numbers"
        if tuple(values.shape) != expected or not values.numel():
            return f"has a {name} of shape {tuple(values.shape)}, its numbers say {expected}"
    return ""


def _flatten_problem(flatten: Any) -> str:
    axes = (flatten.start_dim, flatten.end_dim)
    if all(type(axis) is int and -MOST_AXES <= axis < MOST_AXES for axis in axes):
        return ""
    return f"goes from axis {_short(axes[0])} to {_short(axes[1])}, which are no axes"


def _neuron_problem(neuron: Any) -> str:
    for name in FUNCTIONS:
        function = getattr(neuron, name, None)
        # sinabs' spike functions are classes, its others are objects
        kind = function if isinstance(function, type) else type(function)
        if function is not None and kind not in NEURON_FUNCTIONS:
            return f"has a {name} of {_short(kind)[:80]}, which is none of sinabs'"
    if getattr(neuron, "spike_fn", None) is not None and getattr(neuron, "reset_fn", 0) is None:
        return "has no reset_fn, and spikes"
    for name in ("spike_threshold", "min_v_mem"):
        value = getattr(neuron, name, None)
        if isinstance(value, torch.Tensor) and bool((value.abs() > LARGEST_THRESHOLD).any()):
            return f"has a {name} beyond {LARGEST_THRESHOLD:g}, which no neuron reaches"
    return ""


def _squeezing_problem(layer: Any) -> str:
    for name in ("batch_size", "num_timesteps"):
        value = getattr(layer, name, None)
        if value is not None and (type(value) is not int or not -1 <= value < 2**31):
            return f"has {name} {_short(value)}, which is no whole number from -1 on"
    return ""


def _functions_of(module: Any) -> set[type]:
    return {kind for kind in vars(module).values() if isinstance(kind, type)}


NEURON_FUNCTIONS = {*_functions_of(sa), Triangular}


def _precharge_problem(layer: Any) -> str:
    if not _are_floats(layer.precharge):
        return "has a precharge that is no tensor of finite floating numbers"
    if not (layer.levels is None or (type(layer.levels) is int and 1 <= layer.levels < LARGEST)):
        return f"has levels {_short(layer.levels)}, which must be a positive whole number"
    return ""


def _quantised_problem(layer: Any) -> str:
    if not (_are_floats(layer.step) and layer.step.ndim == 0 and layer.step_size > 0):
        return "has a step that is no number above 0"
    if not (_are_floats(layer.bits) and layer.bits.ndim == 0 and 1 <= layer.bit_width <= MOST_BITS):
        return f"has bits that are no number from 1 to {MOST_BITS}"
    if type(layer.batch_size) is not int:
        return f"has batch size {_short(layer.batch_size)}, which must be a whole number"
    return ""


def _are_floats(values: Any) -> bool:
    floats = isinstance(values, torch.Tensor) and values.is_floating_point()
    return floats and bool(torch.isfinite(values).all())


CHECKS: dict[Any, Callable[[Any], str]] = {
    _ConvNd: _convolution_problem,
    nn.Linear: _linear_problem,
    nn.Flatten: _flatten_problem,
    sl.StatefulLayer: _neuron_problem,
    sl.SqueezeMixin: _squeezing_problem,
    PrechargedIAFSqueeze: _precharge_problem,
    LeakySqueeze: lambda layer: layer.problem,
    PixelScale: lambda layer: layer.problem,
    QuantisedReLU: _quantised_problem,
}
