"""Which layer feeds which: a traced view of a torch network."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import sinabs.layers as sl
from sinabs.network import Network
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from speckflex._support.text import first_line
from speckflex.errors import NetworkError
from speckflex.networks.network_checks import WEIGHT_LAYERS, name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LayerGraph"]

# Layers that treat every channel alike and linearly, so that a gain per channel passes through.
LINEAR = (
    nn.Identity,
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.AvgPool1d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d,
    nn.ZeroPad2d,
    nn.Flatten,
    nn.Unflatten,
)
SHAPING = ("flatten", "unflatten")
CONTAINERS = (nn.Sequential, sl.Repeat, Network)


class _LayerTracer(fx.Tracer):
    """Enters containers and users' own modules, stops at layers of torch and sinabs."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if isinstance(m, CONTAINERS):
            return False
        return (
            isinstance(m, sl.StatefulLayer)
            or m.__module__.startswith("sinabs.")
            or super().is_leaf_module(m, module_qualified_name)
        )


class LayerGraph:
    """The calls that a network's forward pass makes, in order.

    Args:
        network: any module whose forward pass does not branch on values.

    Raises:
        NetworkError: the forward pass can't be traced.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        try:
            self.graph = _LayerTracer().trace(network)
        except Exception as error:  # a user's forward pass can raise anything on a proxy
            raise NetworkError(
                f"network {type(network).__name__} can't be traced ({first_line(error)}): its"
                " forward pass must not depend on values or shapes of its input"
            ) from error
        for node in self.graph.nodes:
            self._check_called_whole(node)

    def _check_called_whole(self, node: fx.Node) -> None:
        """Check that no weight layer's or norm's tensors are used without calling it."""
        name = str(node.target).rpartition(".")[0] if node.op == "get_attr" else None
        if name is None:
            return
        owner = self.network.get_submodule(name)
        if isinstance(owner, (*WEIGHT_LAYERS, _BatchNorm)):
            raise NetworkError(
                f"layer {name_of(name)} ({type(owner).__name__}) has its tensor {node.target} used"
                " outside the layer: call the layer itself, inside an nn.Sequential or a module"
            )

    def layer(self, node: fx.Node) -> nn.Module | None:
        """Return the layer that a node calls, None where it calls something else."""
        return self.network.get_submodule(str(node.target)) if node.op == "call_module" else None

    def calls(self, kind: type | tuple[type, ...]) -> Iterator[tuple[fx.Node, Any]]:
        """Yield every call of a layer of that kind, in the order of the forward pass."""
        for node in self.graph.nodes:
            layer = self.layer(node)
            if isinstance(layer, kind):
                yield node, layer

    def n_calls(self, target: str) -> int:
        """Return how often the forward pass calls the layer of that name."""
        return sum(node.op == "call_module" and node.target == target for node in self.graph.nodes)

    def weights_before(self, norm: fx.Node) -> tuple[fx.Node, list[fx.Node]]:
        """Return the weight layer that feeds a norm alone, and the nodes from there to the norm.

        Raises:
            NetworkError: something between them, or a second consumer, keeps them apart.
        """
        between: list[fx.Node] = []
        source = norm.all_input_nodes[0]
        while not isinstance(self.layer(source), WEIGHT_LAYERS):
            self._check_passes_gain(norm, source)
            between.insert(0, source)
            source = source.all_input_nodes[0]
        for node in (source, *between):
            if len(self.consumers(node)) != 1:
                raise NetworkError(
                    f"norm {norm.target} can't be folded: {_name(node)} feeds"
                    f" {', '.join(_name(user) for user in self.consumers(node))}: give each its"
                    " own convolution"
                )
        if self.n_calls(str(source.target)) > 1:
            raise NetworkError(
                f"norm {norm.target} can't be folded: its layer {source.target} is used at"
                f" {self.n_calls(str(source.target))} places: give each its own"
            )
        return source, between

    def _check_passes_gain(self, norm: fx.Node, node: fx.Node) -> None:
        layer = self.layer(node)
        if node.op == "placeholder":
            reason = "no weight layer comes before it"
        elif isinstance(layer, _BatchNorm) or self.passes_gain(node):
            return
        elif isinstance(layer, sl.StatefulLayer):
            reason = f"it follows the neurons {node.target} and not a weight layer"
        else:
            kind = "" if layer is None else f" ({type(layer).__name__})"
            reason = f"{_name(node)}{kind} lies between it and its weight layer"
        raise NetworkError(
            f"norm {norm.target} ({type(self.layer(norm)).__name__}) can't be folded: {reason}:"
            " put it right after a convolution or linear layer and train again"
        )

    def passes_gain(self, node: fx.Node) -> bool:
        """Return whether a gain per channel may be moved across the node."""
        layer = self.layer(node)
        if isinstance(layer, nn.LPPool2d):
            return layer.norm_type == 1
        return isinstance(layer, LINEAR) or (node.op == "call_method" and node.target in SHAPING)

    def consumers(self, node: fx.Node) -> list[fx.Node]:
        """Return the nodes that use a node's values; asking for its shape does not count."""
        return [user for user in node.users if not _asks_shape(user)]

    def neurons_after(self, node: fx.Node) -> fx.Node | None:
        """Return the first neuron layer that a node feeds, None where it feeds none."""
        for user in self.consumers(node):
            layer = self.layer(user)
            if isinstance(layer, sl.StatefulLayer):
                return user
            if isinstance(layer, _BatchNorm) or self.passes_gain(user):
                found = self.neurons_after(user)
                if found is not None:
                    return found
        return None

    def pooled(self, nodes: list[fx.Node]) -> float:
        """Return by what a constant input of 1 is multiplied on its way through the nodes."""
        return math.prod(_constant_gain(self.layer(node)) for node in nodes)


def _constant_gain(layer: nn.Module | None) -> float:
    if isinstance(layer, nn.LPPool2d):
        return float(_area(layer.kernel_size))
    if isinstance(layer, nn.AvgPool2d) and layer.divisor_override:
        return _area(layer.kernel_size) / layer.divisor_override
    return 1.0


def _area(kernel: Any) -> int:
    return kernel**2 if isinstance(kernel, int) else math.prod(kernel)


def _asks_shape(node: fx.Node) -> bool:
    if node.op == "call_function" and node.target is getattr:
        return node.args[1] == "shape"
    return node.op == "call_method" and node.target in ("size", "dim")


def _name(node: fx.Node) -> str:
    return str(node.target) if node.op == "call_module" else node.name
