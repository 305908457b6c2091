"""Bias-free folding of batch norms into the weights before them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from speckflex.errors import NetworkError
from speckflex.networks.copying import copy_network
from speckflex.networks.fold_proof import check_no_bias, prove_folding
from speckflex.networks.fold_report import FoldedLayer, FoldReport
from speckflex.networks.layer_kinds import kind_of, name_of, own_forward
from speckflex.networks.trace import trace

if TYPE_CHECKING:
    from speckflex.networks.forward_pass import ForwardPass, Route, Step
    from speckflex.program.records import Shape

__all__ = ["fold_batchnorm", "fold_with_report", "prove_folding"]

# Functions that keep each channel's values together.
RESHAPING_FUNCTIONS = frozenset({"flatten", "unflatten"})


@dataclass
class _Folding:
    """The norms of one weight layer as `gain * W` and `shift`, which is dropped; float64."""

    gain: torch.Tensor
    shift: torch.Tensor
    last: int
    norms: tuple[str, ...] = ()


def fold_batchnorm(network: nn.Module, *, input_shape: Shape | None = None) -> nn.Module:
    """Return the network without batch norms and without biases (see `fold_with_report`)."""
    return fold_with_report(network, input_shape=input_shape)[0]


@torch.no_grad()
def fold_with_report(
    network: nn.Module, *, input_shape: Shape | None = None
) -> tuple[nn.Module, FoldReport]:
    """Return the network without batch norms and without biases, and what that dropped.

    Per output channel `W := W * gamma / sqrt(running_var + eps)`; running means, the norms' and
    the layers' own biases are dropped (MTT A.3). A norm may come right after its weight layer, or
    after average or sum pooling behind it. An `nn.Identity` takes its place, so that names do not
    change.

    Args:
        network: stays as it is; folding uses the running statistics in any mode.
        input_shape: (channel, y, x) to trace the network with and to prove the folding on, by
            `prove_folding`; None to skip the proof.

    Raises:
        NetworkError: a norm has no weight layer to be folded into, or no usable statistics.
    """
    folded = copy_network(network)
    if not _has_norm_or_bias(network):
        return folded, FoldReport()
    forward = trace(folded, input_shape)
    _check_foldable(forward, network)
    foldings: dict[str, _Folding] = {}
    for position in forward.positions("weights"):
        step = forward.steps[position]
        if step.layer and kind_of(step.layer).foldable and not step.is_function:
            foldings[step.name] = _bias_only(position, step.layer)
    for position in forward.positions("norm"):
        _take_in(forward, foldings, position)
    layers = [_reported(forward, name, item) for name, item in foldings.items()]
    for name, item in foldings.items():
        _scale_weights(name, folded.get_submodule(name), item.gain)
    folded = _stripped(folded)
    check_no_bias(folded)
    error = prove_folding(network, folded, input_shape=input_shape) if input_shape else None
    return folded, FoldReport(tuple(filter(_is_news, layers)), error)


def _has_norm_or_bias(network: nn.Module) -> bool:
    return any(
        kind_of(module).role == "norm" or getattr(module, "bias", None) is not None
        for module in network.modules()
    )


def _check_foldable(forward: ForwardPass, network: nn.Module) -> None:
    """Check that the forward pass calls the weight layers and norms as plain layers."""
    kind = type(network).__name__
    if forward.value_uses:
        raise NetworkError(
            f"network {kind} can't be folded: its forward pass depends on values of its input"
            f" ({forward.value_uses[0]}): let it depend on shapes alone"
        )
    if forward.n_calls(""):
        raise NetworkError(f"{name_of('')} ({kind}) is a single layer: put it in an nn.Sequential")
    for tensor in forward.loose_tensors:
        name = tensor.rpartition(".")[0]
        owner = network.get_submodule(name)
        if kind_of(owner).foldable or kind_of(owner).role == "norm":
            raise NetworkError(
                f"layer {name_of(name)} ({type(owner).__name__}) has its tensor {tensor} used"
                " outside the layer: call the layer itself, inside an nn.Sequential or a module"
            )
    for position in forward.positions("weights"):
        step = forward.steps[position]
        if step.layer is not None and own_forward(step.layer):
            raise NetworkError(
                f"layer {step.name} ({type(step.layer).__name__}) has a forward pass of its own,"
                " which folding does not know: use the plain torch layer"
            )


def _is_news(layer: FoldedLayer) -> bool:
    return bool(layer.norms) or layer.dropped_max > 0


def _bias_only(position: int, layer: Any) -> _Folding:
    gain = torch.ones(layer.weight.shape[0], dtype=torch.float64, device=layer.weight.device)
    shift = torch.zeros_like(gain) if layer.bias is None else layer.bias.double()
    return _Folding(gain, shift, position)


def _take_in(forward: ForwardPass, foldings: dict[str, _Folding], position: int) -> None:
    """Add a norm to the folding of its weight layer."""
    name, norm = forward.steps[position].name, forward.steps[position].layer
    route = _route_from_weights(forward, position)
    weights = forward.steps[route.origin].name
    folding = foldings[weights]
    gain, shift = _gain_and_shift(name, norm)
    if gain.shape != folding.gain.shape:
        raise NetworkError(
            f"norm {name} has {gain.numel()} features, but its weight layer {weights} has"
            f" {folding.gain.numel()} channels: put the norm before flattening"
        )
    since = [forward.steps[place] for place in route.between if place > folding.last]
    constant = math.prod(_gain(step) or 1.0 for step in since)
    folding.shift = gain * folding.shift * constant + shift
    folding.gain = gain * folding.gain
    folding.last = position
    folding.norms = (*folding.norms, name)


def _route_from_weights(forward: ForwardPass, position: int) -> Route:
    """Return the one route to a norm, from a weight layer that feeds nothing else.

    Raises:
        NetworkError: a layer between them, or a second consumer, prevents folding.
    """
    norm = forward.steps[position]
    routes = forward.routes(position)
    for route in routes:
        reason = _obstacle(forward, route)
        if reason:
            raise NetworkError(
                f"norm {norm.name} ({type(norm.layer).__name__}) can't be folded: {reason}: put it"
                " right after a convolution or linear layer and train again"
            )
    # A merge would have been an obstacle, so there is only one.
    route = routes[0]
    for place in (route.origin, *route.between):
        users = [forward.steps[user].name for user in forward.consumers(place)]
        users += ["the network's output"] * forward.outputs.count(place)
        if len(users) != 1:
            raise NetworkError(
                f"norm {norm.name} can't be folded: {forward.steps[place].name} feeds"
                f" {', '.join(users)}: give each its own convolution"
            )
    weights = forward.steps[route.origin].name
    if forward.n_calls(weights) > 1:
        raise NetworkError(
            f"norm {norm.name} can't be folded: its layer {weights} is used at"
            f" {forward.n_calls(weights)} places: give each its own"
        )
    return route


def _obstacle(forward: ForwardPass, route: Route) -> str:
    """Return why the norm at the end of a route can't be folded into its origin; "" if it can."""
    for position in reversed(route.between):
        step = forward.steps[position]
        if _gain(step) is None:
            kind = "" if step.layer is None else f" ({type(step.layer).__name__})"
            return f"{step.name}{kind} lies between it and its weight layer"
    origin = forward.steps[route.origin]
    if origin.layer is None or origin.is_function:
        return "no weight layer comes before it"
    if origin.role == "neurons":
        return f"it follows the neurons {origin.name} and not a weight layer"
    if not kind_of(origin.layer).foldable:
        return (
            f"it can't be folded into the weights of {origin.name} ({type(origin.layer).__name__})"
        )
    return ""


def _gain(step: Step) -> float | None:
    """Return by what a step multiplies a constant; None where a norm can't be moved across it."""
    if step.layer is None or step.is_function:
        return 1.0 if step.name in RESHAPING_FUNCTIONS else None
    return 1.0 if step.role == "norm" else kind_of(step.layer).gain(step.layer)


def _neurons_after(forward: ForwardPass, position: int) -> Step | None:
    """Return the first neuron layer that a step feeds, None where it feeds none."""
    for user in forward.consumers(position):
        step = forward.steps[user]
        if step.role == "neurons":
            return step
        if _gain(step) is not None:
            found = _neurons_after(forward, user)
            if found is not None:
                return found
    return None


def _gain_and_shift(name: str, norm: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return `gamma / sqrt(var + eps)` and `beta - mean * gain` in float64."""
    if norm.running_mean is None or norm.running_var is None:
        raise NetworkError(
            f"norm {name} keeps no running statistics: train it with track_running_stats=True"
        )
    gain = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        gain = gain * norm.weight.double()
    shift = -norm.running_mean.double() * gain
    if norm.bias is not None:
        shift = shift + norm.bias.double()
    usable = torch.isfinite(gain) & torch.isfinite(shift)
    if not usable.all():
        channel = int((~usable).nonzero()[0, 0])
        raise NetworkError(
            f"norm {name} has no finite gain in channel {channel}: running_var"
            f" {float(norm.running_var[channel])}, running_mean"
            f" {float(norm.running_mean[channel])}, eps {norm.eps}: train it again"
        )
    return gain, shift


def _reported(forward: ForwardPass, name: str, folding: _Folding) -> FoldedLayer:
    neurons = _neurons_after(forward, folding.last)
    threshold = getattr(neurons and neurons.layer, "spike_threshold", None)
    smallest = 1.0 if threshold is None else float(threshold.min())
    if not smallest > 0:
        raise NetworkError(
            f"neurons {neurons.name if neurons else ''} have a threshold of {smallest}:"
            " thresholds must be above 0"
        )
    dropped = folding.shift.abs() / smallest
    return FoldedLayer(
        layer=name,
        norms=folding.norms,
        channels=folding.gain.numel(),
        gain_min=float(folding.gain.min()),
        gain_max=float(folding.gain.max()),
        neuron=neurons.name if neurons else "",
        threshold=smallest,
        dropped_mean=float(dropped.mean()),
        dropped_max=float(dropped.max()),
    )


def _scale_weights(name: str, layer: Any, gain: torch.Tensor) -> None:
    weight = layer.weight
    scaled = weight.double() * gain.reshape(-1, *[1] * (weight.ndim - 1))
    scaled = scaled.to(weight.dtype)
    if not torch.isfinite(scaled).all():
        raise NetworkError(
            f"layer {name} has weights that are not finite after folding, its largest gain is"
            f" {float(gain.abs().max()):g}: train it again"
        )
    layer.weight = nn.Parameter(scaled, requires_grad=weight.requires_grad)


def _stripped(network: nn.Module) -> nn.Module:
    """Return the network, changed in place, with no bias and an identity for each norm."""
    for name, module in list(network.named_modules(remove_duplicate=False)):
        kind = kind_of(module)
        if kind.foldable:
            module.register_parameter("bias", None)
        elif kind.role == "norm":
            parent, _, child = name.rpartition(".")
            identity = nn.Identity().train(module.training)
            setattr(network.get_submodule(parent), child, identity)
    return network
