"""Bias-free folding of batch norms into the weights before them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from speckflex.errors import NetworkError
from speckflex.networks.files import copy_network
from speckflex.networks.fold_proof import check_no_bias, prove_folding
from speckflex.networks.graph import LayerGraph
from speckflex.networks.network_checks import WEIGHT_LAYERS

if TYPE_CHECKING:
    from torch import fx

    from speckflex.program.records import Shape

__all__ = ["FoldReport", "FoldedLayer", "fold_batchnorm", "fold_with_report", "prove_folding"]


@dataclass(frozen=True)
class FoldedLayer:
    """What folding did to one weight layer.

    Args:
        layer: the weight layer's name.
        norms: the names of the batch norms that it took in; none where only a bias was dropped.
        channels: output channels of the layer.
        gain_min: the smallest factor that a channel's weights were multiplied by.
        gain_max: the largest.
        neuron: the name of the neuron layer that follows, "" where none does.
        threshold: its smallest threshold; 1 where no neuron follows.
        dropped_mean: mean over channels of `|beta - mean * gain + bias * gain|`, the constant
            input that was dropped, in thresholds.
        dropped_max: the same of the worst channel.
    """

    layer: str
    norms: tuple[str, ...]
    channels: int
    gain_min: float
    gain_max: float
    neuron: str
    threshold: float
    dropped_mean: float
    dropped_max: float


@dataclass(frozen=True)
class FoldReport:
    """What folding did, by weight layer in the order of the forward pass."""

    layers: tuple[FoldedLayer, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the report in plain JSON types."""
        layers = [asdict(layer) | {"norms": list(layer.norms)} for layer in self.layers]
        return {"layers": layers}


@dataclass
class _Folding:
    """What one weight layer takes in: `gain * W`, and `shift`, which is dropped; float64."""

    gain: torch.Tensor
    shift: torch.Tensor
    last: fx.Node
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
    the layers' own biases go (MTT A.3). A norm may come right after its weight layer or after
    average and sum pooling. In its place stays an `nn.Identity`, so that names do not change.

    Args:
        network: stays as it is; folding works on running statistics whatever its mode.
        input_shape: (channel, y, x) to prove the folding on, by `prove_folding`; None to skip it.

    Raises:
        NetworkError: a norm has no weight layer that can take it in, or has no usable statistics.
    """
    folded = copy_network(network)
    if not _has_norm_or_bias(network):
        return folded, FoldReport()
    graph = LayerGraph(folded)
    foldings: OrderedDict[str, _Folding] = OrderedDict(
        (str(node.target), _bias_only(node, layer)) for node, layer in graph.calls(WEIGHT_LAYERS)
    )
    for node, norm in graph.calls(_BatchNorm):
        _take_in(graph, foldings, node, norm)
    report = FoldReport(tuple(_reported(graph, name, item) for name, item in foldings.items()))
    for name, item in foldings.items():
        _scale_weights(name, folded.get_submodule(name), item.gain)
    folded = _stripped(folded)
    check_no_bias(folded)
    if input_shape is not None:
        prove_folding(network, folded, input_shape=input_shape)
    return folded, FoldReport(tuple(layer for layer in report.layers if _is_news(layer)))


def _has_norm_or_bias(network: nn.Module) -> bool:
    return any(
        isinstance(module, _BatchNorm) or getattr(module, "bias", None) is not None
        for module in network.modules()
    )


def _is_news(layer: FoldedLayer) -> bool:
    return bool(layer.norms) or layer.dropped_max > 0


def _bias_only(node: fx.Node, layer: Any) -> _Folding:
    gain = torch.ones(layer.weight.shape[0], dtype=torch.float64, device=layer.weight.device)
    shift = torch.zeros_like(gain) if layer.bias is None else layer.bias.double()
    return _Folding(gain, shift, node)


def _take_in(
    graph: LayerGraph, foldings: dict[str, _Folding], node: fx.Node, norm: _BatchNorm
) -> None:
    """Add a norm to what its weight layer takes in."""
    source, between = graph.weights_before(node)
    folding = foldings[str(source.target)]
    gain, shift = _gain_and_shift(str(node.target), norm)
    if gain.shape != folding.gain.shape:
        raise NetworkError(
            f"norm {node.target} has {norm.num_features} features, its weight layer"
            f" {source.target} has {folding.gain.numel()} channels: put the norm before flattening"
        )
    if folding.last in between:
        between = between[between.index(folding.last) + 1 :]
    folding.shift = gain * folding.shift * graph.pooled(between) + shift
    folding.gain = gain * folding.gain
    folding.last = node
    folding.norms = (*folding.norms, str(node.target))


def _gain_and_shift(name: str, norm: _BatchNorm) -> tuple[torch.Tensor, torch.Tensor]:
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


def _reported(graph: LayerGraph, name: str, folding: _Folding) -> FoldedLayer:
    node = graph.neurons_after(folding.last)
    threshold = getattr(None if node is None else graph.layer(node), "spike_threshold", None)
    smallest = 1.0 if threshold is None else float(threshold.min())
    if not smallest > 0:
        raise NetworkError(
            f"neurons {'' if node is None else node.target} have a threshold of {smallest}:"
            " thresholds must be above 0"
        )
    dropped = folding.shift.abs() / smallest
    return FoldedLayer(
        layer=name,
        norms=folding.norms,
        channels=folding.gain.numel(),
        gain_min=float(folding.gain.min()),
        gain_max=float(folding.gain.max()),
        neuron="" if node is None else str(node.target),
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
        if isinstance(module, WEIGHT_LAYERS):
            module.register_parameter("bias", None)
        elif isinstance(module, _BatchNorm):
            parent, _, child = name.rpartition(".")
            identity = nn.Identity().train(module.training)
            setattr(network.get_submodule(parent), child, identity)
    return network
