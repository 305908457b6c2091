"""ONNX graphs of ReLU networks: a row of layers, read as a torch module."""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import nn

from speckflex.errors import NetworkError
from speckflex.networks._onnx_graph import OnnxGraph, OnnxNode, OpenSizeError, read_graph
from speckflex.networks._onnx_layers import (
    batch_norm,
    convolution,
    linear,
    per_channel,
    pooling,
    scaled,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np

    from speckflex.program.records import Shape

__all__ = ["OnnxNetwork", "load_onnx", "onnx_input_shape"]

log = logging.getLogger(__name__)

CANONICAL = (0, 1, 2, 3)  # sample, channel, y, x
MAP_AXES = len(CANONICAL)
PASSED = ("Identity", "Dropout")
# They keep the order of the outputs, so that the class with the largest one stays the same.
LEFT_OUT_AT_THE_END = ("Softmax", "LogSoftmax")
REASONS = {
    "MatMulInteger": "is quantised: export the float network",
    "ConvInteger": "is quantised: export the float network",
    "QLinearConv": "is quantised: export the float network",
    "QuantizeLinear": "is quantised: export the float network",
    "DequantizeLinear": "is quantised: export the float network",
    "LSTM": "is recurrent, Speck's cores pass spikes forward only: use a feed-forward network",
    "GRU": "is recurrent, Speck's cores pass spikes forward only: use a feed-forward network",
    "RNN": "is recurrent, Speck's cores pass spikes forward only: use a feed-forward network",
}
ACTIVATIONS = (
    "Clip",
    "Elu",
    "Gelu",
    "HardSigmoid",
    "LeakyRelu",
    "PRelu",
    "Selu",
    "Sigmoid",
    "Tanh",
)


@dataclass(frozen=True, eq=False)
class OnnxNetwork:
    """A network out of an ONNX file.

    Args:
        network: a row of torch layers.
        input_shape: (channel, y, x) that the graph states; None where its input is no map.
    """

    network: nn.Module
    input_shape: Shape | None


def load_onnx(path: Path, input_shape: Shape | None = None) -> OnnxNetwork:
    """Return the network of an ONNX file: its nodes in a row, folded into torch layers.

    Maps may be in the order of TensorFlow (y, x, channel); the layers get torch's order.

    Args:
        path: the file.
        input_shape: (channel, y, x), for a graph that leaves its input's size open.

    Raises:
        NetworkError: a node has no equivalent among the layers that speckflex knows, or the nodes
            form no row.
        FileFormatError: the file is damaged.
    """
    graph = read_graph(path, input_shape)
    nodes = [node for node in graph.path if not _passed(node)]
    if nodes and nodes[-1].kind in LEFT_OUT_AT_THE_END:
        log.warning("%s is left out: the largest output stays the largest", nodes[-1].where)
    return _built(graph)


def onnx_input_shape(path: Path) -> Shape | None:
    """Return the (channel, y, x) that an ONNX file states for its input; None where it does not.

    Raises:
        NetworkError: a node has no equivalent, or the nodes form no row.
        FileFormatError: the file is damaged.
    """
    try:
        return _built(read_graph(path, None)).input_shape
    except OpenSizeError:
        return None


def _passed(node: OnnxNode) -> bool:
    """Return whether a node does nothing to the values."""
    return node.kind in PASSED or (node.kind == "Cast" and node.to_floating)


def _built(graph: OnnxGraph) -> OnnxNetwork:
    nodes = [node for node in graph.path if not _passed(node)]
    if nodes and nodes[-1].kind in LEFT_OUT_AT_THE_END:
        nodes.pop()
    builder = _Builder(graph)
    for node in nodes:
        builder.take(node)
    return OnnxNetwork(nn.Sequential(builder.layers), builder.stated_shape())


@dataclass
class _Builder:
    """Builds layer by layer, and keeps where the axes of the current values are.

    Args:
        graph: that is read.
        layers: by name, so far.
        axes: which of `CANONICAL` each axis of the current values is; None for a row of values.
        order: for a row of values, which of them in the canonical order each one is; None where
            the order is canonical.
        known: whether a layer that needs the canonical order has fixed what the axes are.
        first_axes: which of `CANONICAL` each axis of the input is.
        pads: zeros for the next convolution, before and behind each axis that has some.
    """

    graph: OnnxGraph
    layers: OrderedDict[str, nn.Module] = field(default_factory=OrderedDict)
    axes: tuple[int, ...] | None = None
    order: np.ndarray | None = None
    known: bool = False
    first_axes: tuple[int, ...] | None = None
    pads: dict[int, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n_axes = len(self.graph.input_sizes)
        self.axes = tuple(range(MAP_AXES)) if n_axes == MAP_AXES else None
        self.first_axes = self.axes

    def take(self, node: OnnxNode) -> None:
        """Add what a node is to the layers.

        Raises:
            NetworkError: it has no equivalent.
        """
        kind = node.kind
        if kind in ACTIVATIONS:
            raise NetworkError(f"{node.where} is no ReLU, which neurons stand for: train with ReLU")
        if kind not in STEPS:
            raise NetworkError(
                f"{node.where} {REASONS.get(kind, f'is none of {KNOWN}: export a row of them')}"
            )
        if self.pads and kind not in {"Conv", "Transpose", "Pad"}:
            raise NetworkError(f"{node.where} follows a padding: only a convolution may do so")
        STEPS[kind](self, node)

    def stated_shape(self) -> Shape | None:
        """Return the (channel, y, x) of the graph's input."""
        if self.first_axes is None:
            return None
        sizes = dict(zip(self.first_axes, self.graph.input_sizes, strict=True))
        return sizes[1], sizes[2], sizes[3]

    def add(self, name: str, layer: nn.Module) -> None:
        number = 1 + sum(each.rstrip("0123456789") == name for each in self.layers)
        self.layers[f"{name}{number}"] = layer

    def fix_axes(self, node: OnnxNode) -> None:
        """Check that the current values are maps in the canonical order, or say that they are."""
        if self.axes is None:
            raise NetworkError(
                f"{node.where} takes maps, and a row of values comes before it: export a network"
                " that flattens its maps once, behind them"
            )
        if not self.known:
            # the first layer that needs the order says what the axes of the input are
            place = {axis: CANONICAL[index] for index, axis in enumerate(self.axes)}
            self.first_axes = tuple(place[axis] for axis in self.first_axes or ())
            self.pads = {place[axis]: sides for axis, sides in self.pads.items()}
            self.axes, self.known = CANONICAL, True
        if self.axes != CANONICAL:
            raise NetworkError(
                f"{node.where} takes its maps with the axes {self.axes} of (sample, channel, y, x):"
                " export it without such transposes"
            )

    def transpose(self, node: OnnxNode) -> None:
        order = node.attribute("perm", tuple(reversed(range(len(node.sizes_in)))))
        if self.axes is None or len(order) != MAP_AXES or order[0] != 0:
            raise NetworkError(f"{node.where} moves other axes than those of maps: leave it out")
        self.axes = tuple(self.axes[axis] for axis in order)

    def conv(self, node: OnnxNode) -> None:
        self.fix_axes(node)
        if not self.pads.keys() <= {2, 3}:
            raise NetworkError(
                f"{node.where} follows a padding of samples or channels: leave it out"
            )
        (top, bottom), (left, right) = (self.pads.get(axis, (0, 0)) for axis in (2, 3))
        self.add("conv", convolution(node, (top, left, bottom, right)))
        self.pads = {}

    def pad(self, node: OnnxNode) -> None:
        """Keep a padding with zeros for the convolution behind it."""
        given = node.attribute("pads", ()) or tuple(node.constant(1).tolist())
        value = node.optional(2)
        zero = node.attribute("mode", "constant") == "constant" and (
            value is None or not value.any()
        )
        if (
            self.axes is None
            or len(given) != 2 * MAP_AXES
            or not zero
            or node.optional(3) is not None
        ):
            raise NetworkError(f"{node.where} is no padding of maps with zeros: leave it out")
        for index, axis in enumerate(self.axes):
            before, behind = given[index], given[index + MAP_AXES]
            if min(before, behind) < 0:
                raise NetworkError(f"{node.where} cuts its maps: leave it out")
            if before or behind:
                first, last = self.pads.get(axis, (0, 0))
                self.pads[axis] = (first + before, last + behind)

    def norm(self, node: OnnxNode) -> None:
        if self.axes is not None:
            self.fix_axes(node)
        elif self.order is not None:
            raise NetworkError(f"{node.where} follows a flattening: put a linear layer between")
        self.add("norm", batch_norm(node, maps=self.axes is not None))

    def relu(self, node: OnnxNode) -> None:
        self.add("relu", nn.ReLU())

    def pool(self, node: OnnxNode) -> None:
        self.fix_axes(node)
        self.add("pool", pooling(node))

    def mean(self, node: OnnxNode) -> None:
        """Add the mean over y and x, as Keras' global pooling is exported."""
        given = node.attribute("axes", ()) or tuple(node.constant(1).tolist())
        taken = {axis % len(node.sizes_in) for axis in given}
        if self.axes is None or {self.axes[axis] for axis in taken} != {2, 3} or not self.known:
            raise NetworkError(f"{node.where} is no mean over y and x: use average pooling")
        size = dict(zip(self.axes, node.sizes_in, strict=True))
        self.add("pool", nn.AvgPool2d((size[2], size[3])))
        if not node.attribute("keepdims", 1):
            self.add("flatten", nn.Flatten())
            self.axes = None

    def flatten(self, node: OnnxNode) -> None:
        """Add a flattening, or nothing where the values are a row already."""
        sizes, after = node.sizes_in, node.sizes_out
        if after == sizes and (self.axes is None or node.kind != "Flatten"):
            return
        if len(after) != 2 or after[0] != sizes[0]:
            raise NetworkError(
                f"{node.where} makes {after} of {sizes}: only the flattening of whole maps is read"
            )
        if self.axes is None:
            return
        self._check_order(node)
        self.order = node.order_after_flattening(self.axes)
        self.axes = None
        self.add("flatten", nn.Flatten())

    def _check_order(self, node: OnnxNode) -> None:
        """Check that it is known which axis of an input that is flattened first is which."""
        if self.known:
            return
        inner = node.sizes_in[1:]
        if inner[0] != 1 and inner[-1] == 1:  # y, x, channel, in the order of a single channel
            self.axes = self.first_axes = (0, 2, 3, 1)
        elif inner[0] != 1:
            raise NetworkError(
                f"{node.where} flattens the input of size {inner} before any convolution, so that"
                " the order of its axes is not known: export it with an input of one axis"
            )
        self.known = True

    def gemm(self, node: OnnxNode) -> None:
        if self.axes is not None:
            raise NetworkError(f"{node.where} is applied to each pixel: use a 1 x 1 convolution")
        self.add("linear", linear(node, self.order))
        self.order = None

    def affine(self, node: OnnxNode) -> None:
        """Multiply a constant into the weights before it, or add it to their bias."""
        axis = 1 if self.axes is None else self.axes.index(1)
        factor, shift = per_channel(node, axis)
        name = next(reversed(self.layers), "")
        layer = self.layers.get(name)
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            raise NetworkError(
                f"{node.where} computes with constants behind no convolution and no linear layer:"
                " put it behind one, or leave it out"
            )
        self.layers[name] = scaled(layer, factor, shift)


STEPS: dict[str, Callable[[_Builder, OnnxNode], None]] = {
    "Transpose": _Builder.transpose,
    "Conv": _Builder.conv,
    "Pad": _Builder.pad,
    "BatchNormalization": _Builder.norm,
    "Relu": _Builder.relu,
    "AveragePool": _Builder.pool,
    "GlobalAveragePool": _Builder.pool,
    "MaxPool": _Builder.pool,
    "ReduceMean": _Builder.mean,
    "Flatten": _Builder.flatten,
    "Reshape": _Builder.flatten,
    "Squeeze": _Builder.flatten,
    "Gemm": _Builder.gemm,
    "MatMul": _Builder.gemm,
    "Add": _Builder.affine,
    "Sub": _Builder.affine,
    "Mul": _Builder.affine,
    "Div": _Builder.affine,
}
KNOWN = ", ".join((*STEPS, *PASSED))
