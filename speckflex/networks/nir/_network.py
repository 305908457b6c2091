"""NIR graphs as torch networks: a layer a node, under the nodes' names."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import sinabs.layers as sl
import torch
from torch import nn
from torch.nn.utils import skip_init

from speckflex._support.text import shown
from speckflex.errors import NetworkError
from speckflex.networks.layer_kinds import LEAKS
from speckflex.networks.nir._chain import chain_of, input_sizes
from speckflex.networks.nir._fields import check_fields, numbers, pair, sizes
from speckflex.networks.nir._hdf5 import read_graph
from speckflex.networks.nir._neurons import integrate_and_fire
from speckflex.networks.nir._records import Graph, Node
from speckflex.networks.nir._scales import without_scales
from speckflex.networks.nir.options import NirOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from speckflex.program.records import Shape

__all__ = ["load_nir", "nir_input_shape"]

REASONS = {
    "CubaLIF": LEAKS,
    "CubaLI": LEAKS,
    "LI": LEAKS,
    "I": "integrates and never fires: leave it out, the last layer's potential can be read out",
    "Threshold": "fires without a state: use IF neurons",
    "Conv1d": "is one-dimensional: write it as a Conv2d of height 1",
    "MaxPool2d": "takes a maximum, which Speck's pooling does not: train with SumPool2d or"
    " AvgPool2d",
}
UNKNOWN = "is of a type that speckflex does not know: export the network with other nodes"
MAP_AXES = 3  # channel, y, x


def load_nir(path: Path, options: NirOptions | None = None) -> nn.Module:
    """Return the network of a NIR file: its nodes in a row, under their names.

    Per-neuron thresholds and zero biases stay as the file has them.

    Args:
        path: a file of any version of nir.
        options: what the graph leaves open.

    Raises:
        NetworkError: a node has no equivalent on Speck, or the nodes form no chain.
        FileFormatError: the file is damaged or no NIR file.
    """
    graph = read_graph(path)
    source = _source(path, graph)
    chain = _taken(source, graph)
    builder = _Builder(source, graph.version, options or NirOptions())
    builder.shape = _arriving(graph, chain)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for name, node in chain:
        layer = builder.layer(name, node)
        if layer is not None:
            layers[_free_name(name, layers)] = layer
    return nn.Sequential(layers)


def nir_input_shape(path: Path) -> Shape | None:
    """Return the (channel, y, x) that a NIR file states for its input; None where it does not.

    A row of values, as a network of Linear nodes takes, is no map of a sensor.

    Raises:
        NetworkError: the nodes form no chain.
        FileFormatError: the file is damaged or no NIR file.
    """
    graph = read_graph(path)
    shape = _arriving(graph, _taken(_source(path, graph), graph))
    if shape is None or len(shape) != MAP_AXES:
        return None
    return (shape[0], shape[1], shape[2])


def _source(path: Path, graph: Graph) -> str:
    return f"{path} (NIR {shown(graph.version)})" if graph.version else str(path)


def _where(source: str, name: str, node: Node) -> str:
    return f"{source}: node {shown(name)} ({shown(node.kind)})"


def _taken(source: str, graph: Graph) -> list[tuple[str, Node]]:
    """Return the chain of nodes that Speck has, each with known fields, Scale nodes multiplied in.

    Raises:
        NetworkError: a node has no equivalent on Speck, or the nodes form no chain.
    """
    for name, node in _all_nodes(graph):
        if node.kind in {"Input", "Output", "Identity"}:
            continue
        where = _where(source, name, node)
        if node.kind not in TAKEN:
            raise NetworkError(f"{where} {REASONS.get(node.kind, UNKNOWN)}")
        check_fields(where, node)
    chain = chain_of(source, graph)
    return without_scales(chain, lambda name, node: _where(source, name, node))


def _all_nodes(graph: Graph, outer: str = "") -> list[tuple[str, Node]]:
    found: list[tuple[str, Node]] = []
    for name, item in graph.nodes.items():
        if isinstance(item, Node):
            found.append((f"{outer}{name}", item))
        else:
            found += _all_nodes(item, f"{outer}{name}/")
    return found


def _arriving(graph: Graph, chain: list[tuple[str, Node]]) -> tuple[int, ...] | None:
    """Return the sizes that the Input node states, without axes of batch and time before them.

    A writer may leave these axes in. They go one by one until the first layer with weights takes
    what is left.
    """
    stated = input_sizes(graph)
    if not stated:
        return None
    kinds = [node.kind for _, node in chain]
    index = next((i for i, kind in enumerate(kinds) if kind in {"Conv2d", "Affine", "Linear"}), -1)
    weight = chain[index][1].fields.get("weight") if index >= 0 else None
    if weight is None or isinstance(weight, str) or weight.ndim not in {2, 4}:
        return stated
    for start in range(len(stated)):
        rest = stated[start:]
        if weight.ndim == 4 and len(rest) == MAP_AXES:
            return rest
        fits = math.prod(rest) if "Flatten" in kinds[:index] else rest[-1]
        if weight.ndim == 2 and fits == weight.shape[1] and len(rest) in {1, MAP_AXES}:
            return rest
    return stated


def _free_name(name: str, layers: OrderedDict[str, nn.Module]) -> str:
    """Return a name that a torch module takes: without dots, and none of its own attributes."""
    free = "".join(c if c.isprintable() and c not in "./" else "_" for c in name)
    while free in layers or hasattr(nn.Sequential, free) or hasattr(nn.Sequential(), free):
        free += "_"
    return free


@dataclass
class _Builder:
    """Builds the layers in order, and follows the shape of what passes through them.

    Args:
        source: what messages begin with.
        version: of nir.
        options: what the graph leaves open.
        shape: of what arrives at the next node; None while it is not known.
    """

    source: str
    version: str
    options: NirOptions
    shape: tuple[int, ...] | None = None

    def layer(self, name: str, node: Node) -> nn.Module | None:
        """Return the layer of a node; None where it passes values on as they are."""
        where = _where(self.source, name, node)
        return BUILDERS[node.kind](self, where, node)

    def conv2d(self, where: str, node: Node) -> nn.Module:
        weight = self._weight(where, node, 4)
        groups = sizes(where, node, "groups", least=1)[0]
        stride = pair(where, node, "stride", least=1)
        channels = weight.shape[1] * groups
        if len(weight) % groups:
            raise NetworkError(
                f"{where} has {len(weight)} output channels, which its {groups} groups can't share"
                " equally: export it again"
            )
        layer = skip_init(
            nn.Conv2d,
            channels,
            len(weight),
            (weight.shape[2], weight.shape[3]),
            stride=stride,
            padding=_padding(where, node, stride),
            dilation=pair(where, node, "dilation", least=1),
            groups=groups,
            bias="bias" in node.fields,
        )
        self._fill(where, node, layer, weight)
        self._pass_map(where, layer, channels)
        return layer

    def linear(self, where: str, node: Node) -> nn.Module:
        weight = self._weight(where, node, 2)
        n_inputs = weight.shape[1]
        if self.shape is not None and self.shape != (n_inputs,):
            raise NetworkError(
                f"{where} reads a row of {n_inputs} values, but values of shape {self.shape}"
                " arrive: put a Flatten in front of it, or check the sizes"
            )
        layer = skip_init(nn.Linear, n_inputs, len(weight))
        self._fill(where, node, layer, weight)
        self.shape = (len(weight),)
        return layer

    def neurons(self, where: str, node: Node) -> nn.Module:
        return integrate_and_fire(
            where, node, self.shape, version=self.version, options=self.options
        )

    def pool(self, where: str, node: Node) -> nn.Module:
        padding = pair(where, node, "padding", least=0)
        if any(padding):
            raise NetworkError(
                f"{where} has padding {list(padding)}: Speck pools without padding, export it with"
                " 0"
            )
        kernel = pair(where, node, "kernel_size", least=1)
        stride = pair(where, node, "stride", least=1)
        average = node.kind == "AvgPool2d"
        layer = nn.AvgPool2d(kernel, stride) if average else sl.SumPool2d(kernel, stride)
        self._pass_map(where, layer, None)
        return layer

    def flatten(self, where: str, node: Node) -> nn.Module:
        """Return a flattening of all axes but the batch's.

        A graph has no axis of a batch, but some writers count it, and the default of the first
        versions of nir, a start of 1, takes it for granted.
        """
        start = sizes(where, node, "start_dim", least=-MAP_AXES - 1)[0]
        end = sizes(where, node, "end_dim", least=-MAP_AXES - 1)[0]
        n_axes = MAP_AXES if self.shape is None else len(self.shape)
        to_the_end = {-1, n_axes - 1} if start != 1 else {-1, n_axes}
        whole = (start in {0, 1} or start <= -n_axes) and end in to_the_end
        if n_axes > 1 and not whole:
            raise NetworkError(
                f"{where} flattens axes {start} to {end} of {n_axes}: flatten all of them, Speck's"
                " linear layers read a whole map"
            )
        if self.shape is not None:
            self.shape = (math.prod(self.shape),)
        return nn.Flatten()

    def delay(self, where: str, node: Node) -> None:
        if np.any(numbers(where, node, "delay") != 0):
            raise NetworkError(f"{where} delays spikes, which Speck can't: train without delays")

    def _weight(self, where: str, node: Node, n_axes: int) -> np.ndarray:
        weight = numbers(where, node, "weight")
        if weight.ndim != n_axes or not weight.size:
            raise NetworkError(
                f"{where} has weights of shape {weight.shape}: they need {n_axes} axes, none empty"
            )
        return weight

    def _fill(self, where: str, node: Node, layer: Any, weight: np.ndarray) -> None:
        """Give the layer the file's numbers; a Linear node has no bias, and gets zeros."""
        layer.weight.data = torch.as_tensor(weight, dtype=torch.float32)
        if layer.bias is None:
            return
        bias = np.zeros(len(weight)) if node.kind == "Linear" else numbers(where, node, "bias")
        if bias.shape != (len(weight),):
            raise NetworkError(
                f"{where} has a bias of shape {bias.shape} for {len(weight)} outputs: export it"
                " again"
            )
        layer.bias.data = torch.as_tensor(bias, dtype=torch.float32)

    def _pass_map(self, where: str, layer: Any, channels: int | None) -> None:
        """Follow the shape of a map through a convolution or a pooling."""
        if self.shape is None:
            return
        if len(self.shape) != MAP_AXES or channels not in {None, self.shape[0]}:
            wanted = "maps" if channels is None else f"maps of {channels} channels"
            raise NetworkError(
                f"{where} reads {wanted}, but values of shape {self.shape} arrive: check the sizes"
            )
        out = self.shape[0] if channels is None else len(layer.weight)
        self.shape = (out, *(_swept(layer, axis, self.shape[1 + axis]) for axis in (0, 1)))
        if min(self.shape) < 1:
            raise NetworkError(
                f"{where} is larger than the map that arrives and gives no output: check the sizes"
            )


def _padding(where: str, node: Node, stride: tuple[int, int]) -> str | tuple[int, int]:
    padding = node.fields.get("padding")
    if not isinstance(padding, str):
        return pair(where, node, "padding", least=0)
    if padding not in {"same", "valid"}:
        raise NetworkError(
            f"{where} has the padding {shown(padding[:20])!r}: give 'same', 'valid' or numbers"
        )
    if padding == "same" and max(stride) > 1:
        raise NetworkError(
            f"{where} has the padding 'same' and a stride of {stride}: export the padding in"
            " numbers"
        )
    return padding


def _swept(layer: Any, axis: int, size: int) -> int:
    """Return how many outputs a kernel gives along an axis (0 for y, 1 for x)."""
    padding = getattr(layer, "padding", 0)
    if padding == "same":
        return size
    around = padding[axis] if isinstance(padding, tuple) else 0
    dilation = layer.dilation[axis] if isinstance(layer, nn.Conv2d) else 1
    reach = dilation * (layer.kernel_size[axis] - 1) + 1
    return (size + 2 * around - reach) // layer.stride[axis] + 1


BUILDERS: dict[str, Callable[[_Builder, str, Node], nn.Module | None]] = {
    "Affine": _Builder.linear,
    "AvgPool2d": _Builder.pool,
    "Conv2d": _Builder.conv2d,
    "Delay": _Builder.delay,
    "Flatten": _Builder.flatten,
    "IF": _Builder.neurons,
    "LIF": _Builder.neurons,
    "Linear": _Builder.linear,
    "SumPool2d": _Builder.pool,
}
# Scale nodes go into the weights beside them, so that they build nothing.
TAKEN = {*BUILDERS, "Scale"}
