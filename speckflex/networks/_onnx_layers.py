"""Torch layers of ONNX' nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils import skip_init

from speckflex.errors import NetworkError

if TYPE_CHECKING:
    from speckflex.networks._onnx_graph import OnnxNode

__all__ = ["batch_norm", "convolution", "linear", "per_channel", "pooling", "scaled"]

ONE_MAP_AXIS, MAP_AXES = 3, 4


def convolution(node: OnnxNode, around: tuple[int, int, int, int]) -> nn.Module:
    """Return a convolution.

    Where the padding of two sides differs, as TensorFlow's does with strides, both get the larger
    one, and the kernel gets zeros there, so that it sees the same pixels.

    Args:
        node: a Conv.
        around: zeros around the map at the top, left, bottom and right, besides the node's own.
    """
    weight = _floating(node, node.constant(1))
    if weight.ndim == ONE_MAP_AXIS:
        raise NetworkError(f"{node.where} is one-dimensional: write it as a Conv2d of height 1")
    if weight.ndim != MAP_AXES:
        raise NetworkError(f"{node.where} has a kernel of {weight.ndim - 2} axes: use a Conv2d")
    kernel, stride = weight.shape[2:], node.attribute("strides", (1, 1))
    dilation = node.attribute("dilations", (1, 1))
    own = _pads(node, kernel, stride, dilation)
    top, left, bottom, right = (a + b for a, b in zip(own, around, strict=True))
    y, x = max(top, bottom), max(left, right)
    sides = ((y - top, y - bottom), (x - left, x - right))
    if any(side % d for pair, d in zip(sides, dilation, strict=True) for side in pair):
        raise NetworkError(
            f"{node.where} pads its sides by {(top, left, bottom, right)}, not alike, and has"
            " dilation: choose an input size that its stride divides"
        )
    zeros = [(pair[0] // d, pair[1] // d) for pair, d in zip(sides, dilation, strict=True)]
    weight = np.pad(weight, ((0, 0), (0, 0), *zeros))
    groups = node.attribute("group", 1)
    bias = node.optional(2)
    layer: Any = skip_init(
        nn.Conv2d,
        weight.shape[1] * groups,
        weight.shape[0],
        weight.shape[2:],
        stride=stride,
        padding=(y, x),
        dilation=dilation,
        groups=groups,
        bias=bias is not None,
    )
    layer.weight.data = torch.from_numpy(weight)
    if bias is not None:
        layer.bias.data = torch.from_numpy(_floating(node, bias))
    return layer


def _pads(
    node: OnnxNode, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[int, ...]:
    """Return the padding at the top, left, bottom and right."""
    mode = node.attribute("auto_pad", "NOTSET")
    if mode in {"NOTSET", "VALID"}:
        return node.attribute("pads", (0, 0, 0, 0)) if mode == "NOTSET" else (0, 0, 0, 0)
    begin, end = [], []
    for size, out, k, s, d in zip(
        node.sizes_in[2:], node.sizes_out[2:], kernel, stride, dilation, strict=True
    ):
        missing = max((out - 1) * s + (k - 1) * d + 1 - size, 0)
        small, large = missing // 2, missing - missing // 2
        begin.append(large if mode == "SAME_LOWER" else small)
        end.append(small if mode == "SAME_LOWER" else large)
    return (*begin, *end)


def pooling(node: OnnxNode) -> nn.Module:
    """Return an average or a maximum over windows, or over the whole map."""
    if node.kind == "GlobalAveragePool":
        return nn.AvgPool2d((node.sizes_in[2], node.sizes_in[3]))
    kernel = node.attribute("kernel_shape", ())
    if len(kernel) != MAP_AXES - 2:
        raise NetworkError(f"{node.where} has a window of {len(kernel)} axes: use 2 of them")
    stride = node.attribute("strides", (1, 1))
    dilation = node.attribute("dilations", (1, 1))
    top, left, bottom, right = _pads(node, kernel, stride, dilation)
    ceil = bool(node.attribute("ceil_mode", 0))
    if (top, left) != (bottom, right):
        raise NetworkError(
            f"{node.where} pads its sides by {(top, left, bottom, right)}, not alike: choose an"
            " input size that the windows divide"
        )
    if node.kind == "MaxPool":
        return nn.MaxPool2d(kernel, stride, (top, left), dilation, ceil_mode=ceil)
    counted = bool(node.attribute("count_include_pad", 0))
    return nn.AvgPool2d(kernel, stride, (top, left), ceil_mode=ceil, count_include_pad=counted)


def batch_norm(node: OnnxNode, *, maps: bool) -> nn.Module:
    """Return a batch norm with its statistics, in eval mode."""
    values = [torch.from_numpy(_floating(node, node.constant(index))) for index in range(1, 5)]
    make = nn.BatchNorm2d if maps else nn.BatchNorm1d
    layer: Any = make(len(values[0]), eps=node.attribute("epsilon", 1e-5))
    layer.weight.data, layer.bias.data = values[0], values[1]
    layer.running_mean.data, layer.running_var.data = values[2], values[3]
    return layer.eval()


def linear(node: OnnxNode, order: np.ndarray | None) -> nn.Module:
    """Return a linear layer.

    Args:
        node: a Gemm or MatMul.
        order: for each value that arrives its place in the order of the layers here; None where
            it is the same.
    """
    bias = None
    if node.kind == "Gemm":
        if node.attribute("transA", 0):
            raise NetworkError(f"{node.where} transposes its input: export it without transA")
        weight = _floating(node, node.constant(1)) * np.float32(node.attribute("alpha", 1.0))
        weight = weight if node.attribute("transB", 0) else weight.T
        bias = node.optional(2)
    else:
        weight = _floating(node, node.constant(1)).T
    if weight.ndim != 2:
        raise NetworkError(f"{node.where} has weights of {weight.ndim} axes: use a linear layer")
    if order is not None:
        arranged = np.empty_like(weight)
        arranged[:, order] = weight
        weight = arranged
    layer: Any = skip_init(nn.Linear, weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight.data = torch.from_numpy(np.ascontiguousarray(weight))
    if bias is not None:
        values = _floating(node, bias).reshape(-1) * np.float32(node.attribute("beta", 1.0))
        layer.bias.data = torch.from_numpy(np.broadcast_to(values, len(weight)).copy())
    return layer


def per_channel(node: OnnxNode, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the factor and the shift, one number a channel or one for all, of an arithmetic node.

    Args:
        node: an Add, Sub, Mul or Div with a constant.
        axis: of the channels.
    """
    first = node.constants[0] is not None
    constant = node.constant(0 if first else 1).astype(np.float64)
    sizes = (1,) * (len(node.sizes_in) - constant.ndim) + constant.shape
    if len(sizes) != len(node.sizes_in) or any(
        size != 1 for index, size in enumerate(sizes) if index != axis
    ):
        raise NetworkError(
            f"{node.where} has a constant of shape {constant.shape}, not a number for each"
            " channel: leave it out"
        )
    values, one, none = constant.reshape(-1), np.ones(1), np.zeros(1)
    if node.kind == "Add":
        return one, values
    if node.kind == "Sub":
        return (-one, values) if first else (one, -values)
    if node.kind == "Mul":
        return values, none
    if first or not values.all():
        raise NetworkError(f"{node.where} divides by values or by 0: leave it out")
    return 1 / values, none


def scaled(layer: nn.Conv2d | nn.Linear, factor: np.ndarray, shift: np.ndarray) -> nn.Module:
    """Return a layer whose outputs are multiplied by a factor and then shifted."""
    gain, added = torch.from_numpy(factor), torch.from_numpy(shift)
    shape = (-1, *[1] * (layer.weight.dim() - 1))
    layer.weight.data = (layer.weight.double() * gain.reshape(shape)).float()
    bias = torch.zeros(len(layer.weight)) if layer.bias is None else layer.bias
    layer.bias = nn.Parameter((bias.double() * gain + added).float())
    return layer


def _floating(node: OnnxNode, values: np.ndarray) -> np.ndarray:
    if values.dtype.kind != "f" and values.dtype.name != "bfloat16":
        raise NetworkError(f"{node.where} has weights of type {values.dtype}: export floats")
    return np.array(values, np.float32)
