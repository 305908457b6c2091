"""The table of layer kinds: the role of each type of layer in loading, folding and conversion."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import sinabs.layers as sl
import torch
from sinabs.network import Network
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.pooling import (
    _AdaptiveAvgPoolNd,
    _AdaptiveMaxPoolNd,
    _AvgPoolNd,
    _LPPoolNd,
    _MaxPoolNd,
)

from speckflex.errors import NetworkError, printable

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "LAYER_KINDS",
    "LEAKS",
    "LayerKind",
    "Role",
    "check_layers",
    "kind_of",
    "module_called",
    "name_of",
    "own_forward",
    "problem_of",
    "wants_time_axis",
]

Role = Literal[
    "weights",
    "neurons",
    "relu",
    "pooling",
    "norm",
    "shaping",
    "dropped",
    "time",
    "merge",
    "input stage",
    "container",
    "other",
]

LEAKS = (
    "leaks with a time constant, Speck's neurons do not: train the network with IF neurons, such as"
    " sinabs' IAFSqueeze"
)
TIME_STEPPED = (
    "so that its network is time-stepped in torch only, and has no program for the chip: train one"
    " with IF neurons, such as nmnist-3c1fc"
)
LEAKY_RESET = (
    f"leaks and resets to 0 in each time step, which Speck's neurons do not, {TIME_STEPPED}"
)
PIXELS = f"scales the pixels of an image, and Speck takes events alone, {TIME_STEPPED}"
RECURRENT = "is recurrent, Speck's cores pass spikes forward only: use a feed-forward network"


def _no_gain(_: Any) -> None:
    """Return None: a factor per channel can't be moved across the layer."""


def _keeps_gain(_: Any) -> float:
    return 1.0


def _mean_gain(pool: Any) -> float:
    divisor = getattr(pool, "divisor_override", None)
    return _area(pool.kernel_size) / divisor if divisor else 1.0


def _power_gain(pool: Any) -> float | None:
    """Return the window's area for a sum, None for any other power."""
    return float(_area(pool.kernel_size)) if pool.norm_type == 1 else None


def _area(kernel: Any) -> int:
    return kernel**2 if isinstance(kernel, int) else math.prod(kernel)


@dataclass(frozen=True)
class LayerKind:
    """What a type of layer is.

    Args:
        role: what it does; "shaping" keeps all values, "dropped" is left out on the chip, "time"
            splits or joins the axes of batch and time, "container" holds other layers.
        foldable: whether a batch norm and a bias can be folded into its weights.
        gain: the factor by which such a layer multiplies a constant input; None where it mixes
            channels or is not linear, so that a factor per channel can't be moved across it.
        lacking: why Speck has no such layer, as the end of a sentence that begins with the layer's
            name; "" where Speck may have it.
    """

    role: Role
    foldable: bool = False
    gain: Callable[[Any], float | None] = _no_gain
    lacking: str = ""


_FOLDABLE = LayerKind("weights", foldable=True)
_WEIGHTS = LayerKind("weights")
_POOLING = LayerKind("pooling")
_SHAPING = LayerKind("shaping", gain=_keeps_gain)
_DROPPED = LayerKind("dropped", gain=_keeps_gain)
_TIME = LayerKind("time", gain=_keeps_gain)
_CONTAINER = LayerKind("container")
_NEURONS = LayerKind("neurons")
_LEAKY = LayerKind("neurons", lacking=LEAKS)
_RECURRENT_NEURONS = LayerKind("neurons", lacking=RECURRENT)
_RECURRENT = LayerKind("other", lacking=RECURRENT)
_RELU = LayerKind("relu")

# A type without a row has the row of its nearest base class.
LAYER_KINDS: dict[type, LayerKind] = {
    nn.Conv1d: _FOLDABLE,
    nn.Conv2d: _FOLDABLE,
    nn.Linear: _FOLDABLE,
    _ConvNd: _WEIGHTS,
    nn.Bilinear: _WEIGHTS,
    sl.StatefulLayer: _NEURONS,
    sl.IAF: _NEURONS,
    sl.LIF: _LEAKY,
    sl.ALIF: _LEAKY,
    sl.ExpLeak: _LEAKY,
    sl.LIFRecurrent: _RECURRENT_NEURONS,
    sl.ALIFRecurrent: _RECURRENT_NEURONS,
    nn.RNNBase: _RECURRENT,
    nn.RNNCellBase: _RECURRENT,
    nn.ReLU: _RELU,
    sl.NeuromorphicReLU: _RELU,
    _AvgPoolNd: LayerKind("pooling", gain=_mean_gain),
    _AdaptiveAvgPoolNd: LayerKind("pooling", gain=_keeps_gain),
    _MaxPoolNd: _POOLING,
    _AdaptiveMaxPoolNd: _POOLING,
    _LPPoolNd: _POOLING,
    nn.LPPool2d: LayerKind("pooling", gain=_power_gain),
    sl.SpikingMaxPooling2dLayer: _POOLING,
    _BatchNorm: LayerKind("norm"),
    nn.Identity: _SHAPING,
    nn.Flatten: _SHAPING,
    nn.Unflatten: _SHAPING,
    nn.ZeroPad2d: LayerKind("other", gain=_keeps_gain),
    nn.Dropout: _DROPPED,
    nn.Dropout1d: _DROPPED,
    nn.Dropout2d: _DROPPED,
    nn.Dropout3d: _DROPPED,
    nn.AlphaDropout: LayerKind("dropped"),
    sl.FlattenTime: _TIME,
    sl.UnflattenTime: _TIME,
    sl.Merge: LayerKind("merge"),
    sl.Repeat: _CONTAINER,
    nn.Sequential: _CONTAINER,
    Network: _CONTAINER,
}

# Classes of modules that can not be imported here: sinabs' backend needs samna or its stand-in, and
# our own module needs this one.
_NAMED_KINDS = {
    "sinabs.backend.dynapcnn.dvs_layer.DVSLayer": LayerKind("input stage"),
    "speckflex.networks.quantised.QuantisedReLU": _RELU,
    "speckflex.networks.leaky.LeakySqueeze": LayerKind("neurons", lacking=LEAKY_RESET),
    "speckflex.networks.residual.PixelScale": LayerKind("other", lacking=PIXELS),
}
_OTHER = LayerKind("other")
# Where the forward passes of torch's and sinabs' own layers are, and of our ReLU.
LAYER_PACKAGES = (
    "torch.nn.modules.",
    "torch.ao.nn.",
    "sinabs.",
    "speckflex.networks.quantised",
    "speckflex.networks.leaky",
)


def kind_of(layer: nn.Module) -> LayerKind:
    """Return the row of a layer's type or of its nearest base class; role "other" without a row."""
    return _kind_of_type(type(layer))


@cache
def _kind_of_type(layer_type: type) -> LayerKind:
    for base in layer_type.__mro__:
        kind = LAYER_KINDS.get(base) or _NAMED_KINDS.get(f"{base.__module__}.{base.__qualname__}")
        if kind is not None:
            return kind
    return _OTHER


def own_forward(layer: nn.Module) -> bool:
    """Return whether a layer's forward pass is a user's, not torch's or sinabs'."""
    owner = next(base for base in type(layer).__mro__ if "forward" in vars(base))
    return not owner.__module__.startswith(LAYER_PACKAGES)


def problem_of(layer: nn.Module) -> str:
    """Return why Speck has no such layer, to follow the layer's name; "" where it may have it."""
    if isinstance(layer, sl.IAF) and layer.tau_syn is not None:
        return (
            "has a synaptic time constant tau_syn, Speck's synapses have none: train with"
            " tau_syn=None"
        )
    return kind_of(layer).lacking


def module_called(network: nn.Module, name: str) -> nn.Module | None:
    """Return the module that a program names, in printable characters; None if there is none."""
    modules = network.named_modules()
    return next((module for path, module in modules if printable(path) == name), None)


def name_of(name: str) -> str:
    """Return a module's name as messages show it; the network itself has an empty one."""
    return name or "the network itself"


def check_layers(network: nn.Module, source: str) -> None:
    """Check that a network computes with finite weights, and has no layer that Speck lacks.

    Args:
        network: as loaded.
        source: what messages begin with, such as the file's path.

    Raises:
        NetworkError: a recurrent or leaky layer, weights that are not finite, or no weights.
    """
    has_weights = False
    for name, module in network.named_modules():
        layer = f"{source}: layer {name_of(name)} ({type(module).__name__})"
        problem = problem_of(module)
        if problem:
            raise NetworkError(f"{layer} {problem}")
        if kind_of(module).role == "weights":
            has_weights = True
            _check_finite(module, layer)
    if not has_weights:
        raise NetworkError(
            f"{source}: {type(network).__name__} has no convolution and no linear layer:"
            " Speck needs at least one"
        )


def _check_finite(module: nn.Module, layer: str) -> None:
    for key, parameter in module.named_parameters(recurse=False):
        n_bad = int((~torch.isfinite(parameter)).sum())
        if n_bad:
            raise NetworkError(
                f"{layer} has {n_bad} values in its {key} that are not finite: train it again"
            )


def wants_time_axis(network: nn.Module) -> bool:
    """Return whether a network takes (batch, time, c, y, x) instead of (batch * time, c, y, x).

    It does where it joins batch and time itself, or has neurons that expect an axis of time.
    """
    return any(
        isinstance(module, sl.FlattenTime | sl.Repeat)
        or (kind_of(module).role == "neurons" and not isinstance(module, sl.SqueezeMixin))
        for module in network.modules()
    )
