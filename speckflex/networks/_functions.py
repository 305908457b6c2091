"""Functions of torch in a forward pass, as the steps that they are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.fx.node import map_arg

from speckflex.networks.forward_pass import Step
from speckflex.networks.layer_kinds import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import fx

__all__ = ["asks_for_values", "function_step", "is_relu", "name_of_target"]

# Functions that keep every value and its row-major place; a batch has one item of one step here.
RESHAPING = frozenset(
    {
        *("alias", "cat", "chunk", "clone", "concat", "concatenate", "contiguous", "cpu", "detach"),
        *("flatten", "float", "getitem", "reshape", "split", "squeeze", "stack", "tensor_split"),
        *("to", "type", "unbind", "unflatten", "unsqueeze", "view", "view_as"),
    }
)
# Functions that move axes; those of batch and time have one item here, and may move.
MOVING = frozenset({"movedim", "moveaxis", "permute", "swapaxes", "swapdims", "transpose"})
ADDING = frozenset({"add", "add_"})
JOINING = frozenset({"cat", "concat", "concatenate"})
MULTIPLYING = frozenset({"mul", "mul_", "multiply"})
DIVIDING = frozenset({"div", "div_", "divide", "true_divide", "truediv"})
RELUS = frozenset({"relu", "relu_"})
CLAMPS = frozenset({"clamp", "clamp_", "clamp_min", "clamp_min_", "clip", "clip_"})
# Functions whose answer is no tensor and depends on values.
VALUE_QUESTIONS = frozenset({"allclose", "equal", "is_nonzero", "item", "numpy", "tolist"})
# Functions whose output has a shape that depends on values.
SHAPED_BY_VALUES = frozenset(
    {"argwhere", "bincount", "masked_select", "nonzero", "unique", "unique_consecutive"}
)
MAP_DIMS = 4


def name_of_target(target: Any) -> str:
    """Return the name of a function or method that a step calls."""
    return target if isinstance(target, str) else getattr(target, "__name__", str(target))


def asks_for_values(name: str, args: Any, value: Any) -> bool:
    """Return whether the result of a function is no tensor or a shape that depends on values.

    Args:
        name: of the function.
        args: what it is given.
        value: what it returned.
    """
    if name in VALUE_QUESTIONS:
        return not isinstance(value, torch.Tensor)
    if name == "getitem":
        key = args[1] if isinstance(args[1], tuple) else (args[1],)
        return any(getattr(item, "dtype", None) in (torch.bool, torch.uint8) for item in key)
    return name in SHAPED_BY_VALUES


def is_relu(name: str, args: Any, kwargs: Any) -> bool:
    """Return whether a function of that name is a ReLU with these arguments."""
    if name in RELUS:
        return True
    if name not in CLAMPS:
        return False
    low = args[1] if len(args) > 1 else kwargs.get("min")
    high = args[2] if len(args) > 2 else kwargs.get("max")
    return high is None and _is_zero(low)


def function_step(node: fx.Node, inputs: list[fx.Node]) -> Step:
    """Return the record of a function's call: as a layer, where there is one that does the same.

    Args:
        node: the call, with its output in `meta`.
        inputs: the nodes that it reads of those that depend on the network's input.
    """
    name = str(node.args[1]) if node.target is getattr else name_of_target(node.target)
    place = node.meta.get("place", "")
    if len(inputs) == len(node.args) == 2 and name in ADDING and not node.kwargs:
        return Step(name, None, "merge", place=place)
    if name in JOINING and len(inputs) > 1 and _joins_channels(node):
        return Step(name, None, "concat", place=place)
    if len(inputs) == 1:
        return _unary_step(name, node, inputs[0])
    return Step(name, None, "function", place=place)


def _unary_step(name: str, node: fx.Node, read: fx.Node) -> Step:
    """Return the record of a function of one tensor and of constants."""
    place = node.meta.get("place", "")
    if _keeps_places(name, node, read):
        return Step(name, None, "shaping", place=place)
    if name in ADDING and not node.kwargs and any(_is_zero(item) for item in node.args):
        # Python's sum() begins with 0.
        return Step(name, None, "shaping", place=place)
    factor = _factor(name, node)
    if factor is not None:
        return Step(name, None, "scale", place=place, factor=factor)
    layer = _layer(name, node, read)
    if layer is None:
        return Step(name, None, "function", place=place)
    role = kind_of(layer).role
    name = _owner(node) if role == "weights" else name
    return Step(name, layer, role, place=place, copied=layer, is_function=True)


def _output(node: fx.Node) -> torch.Tensor | None:
    value = node.meta.get("value")
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    return value if isinstance(value, torch.Tensor) else None


def _joins_channels(node: fx.Node) -> bool:
    """Return whether a concatenation is along the axis of the channels, or of a row's values."""
    output = _output(node)
    dim = node.kwargs.get("dim", node.kwargs.get("axis", (*node.args[1:], 0)[0]))
    if output is None or not isinstance(dim, int):
        return False
    n_dims = output.dim()
    channels = n_dims - 3 if n_dims >= MAP_DIMS else n_dims - 1
    return dim % n_dims == channels and channels > 0


def _keeps_places(name: str, node: fx.Node, read: fx.Node) -> bool:
    before, after = _output(read), _output(node)
    if before is None or after is None:
        return name in RESHAPING - {"chunk", "getitem", "split", "tensor_split", "unbind"} or (
            name == "getitem" and _is_plain(node.args[1])
        )
    if before.numel() != after.numel() or not after.is_floating_point():
        return False
    if name == "getitem":
        return isinstance(read.meta.get("value"), (list, tuple)) or _is_plain(node.args[1])
    if name in MOVING:
        return _long_axes(before) == _long_axes(after)
    return name in RESHAPING


def _is_zero(item: Any) -> bool:
    return isinstance(item, (int, float)) and item == 0


def _long_axes(tensor: torch.Tensor) -> list[tuple[int, int]]:
    """Return size and stride of the axes with more than one item."""
    pairs = zip(tensor.shape, tensor.stride(), strict=True)
    return [(size, stride) for size, stride in pairs if size > 1]


def _is_plain(key: Any) -> bool:
    """Return whether an index takes items as they are: by number, slice, new or whole axes."""
    keys = key if isinstance(key, tuple) else (key,)
    return all(item is None or item is ... or isinstance(item, (int, slice)) for item in keys)


def _factor(name: str, node: fx.Node) -> float | None:
    """Return the number that a function multiplies by; None where it does something else."""
    if name not in MULTIPLYING | DIVIDING or node.kwargs:
        return None
    numbers = [item for item in node.args if isinstance(item, (int, float))]
    if len(numbers) != 1 or not numbers[0] or not math.isfinite(numbers[0]):
        return None
    if name in MULTIPLYING:
        return float(numbers[0])
    return None if isinstance(node.args[0], (int, float)) else 1.0 / numbers[0]


def _layer(name: str, node: fx.Node, read: fx.Node) -> Any:
    """Return the layer that does what a function does; None where there is none."""
    values: dict[fx.Node, Any] = {found: found.meta.get("value") for found in node.all_input_nodes}
    try:
        args, kwargs = map_arg((node.args[1:], node.kwargs), lambda found: values[found])
    except KeyError:
        return None
    if is_relu(name, node.args, node.kwargs):
        return nn.ReLU()
    make = LAYERS.get(name)
    if make is None or node.args[:1] != (read,):
        return None
    try:
        return make(_output(read), *args, **kwargs)
    except (TypeError, ValueError, AttributeError):
        return None


def _conv(_: Any, weight: Any, bias: Any = None, *args: Any, **kwargs: Any) -> nn.Conv2d:
    names = ("stride", "padding", "dilation", "groups")
    settings = {**dict(zip(names, args, strict=False)), **kwargs}
    out, channels, *kernel = weight.shape
    groups = settings.get("groups", 1)
    layer = nn.Conv2d(channels * groups, out, tuple(kernel), bias=bias is not None, **settings)
    return _filled(layer, weight, bias)


def _linear(_: Any, weight: Any, bias: Any = None) -> nn.Linear:
    return _filled(nn.Linear(*weight.shape[::-1], bias=bias is not None), weight, bias)


def _filled(layer: Any, weight: torch.Tensor, bias: torch.Tensor | None) -> Any:
    layer.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return layer.eval()


def _dropout(_: Any, *args: Any, **kwargs: Any) -> nn.Dropout | None:
    given = dict(zip(("p", "training", "inplace"), args, strict=False)) | kwargs
    return None if given.get("training", True) else nn.Dropout()


def _mean(read: torch.Tensor, dim: Any = None, keepdim: bool = False) -> nn.Module | None:  # noqa: FBT001, FBT002
    return nn.AdaptiveAvgPool2d(1) if _over_the_map(read, dim) else None


def _sum(read: torch.Tensor, dim: Any = None, keepdim: bool = False) -> nn.Module | None:  # noqa: FBT001, FBT002
    size = (int(read.shape[-2]), int(read.shape[-1]))
    return nn.AvgPool2d(size, divisor_override=1) if _over_the_map(read, dim) else None


def _over_the_map(read: torch.Tensor, dim: Any) -> bool:
    """Return whether axes are y and x of a batch of maps."""
    if read.dim() < MAP_DIMS or not isinstance(dim, (list, tuple)):
        return False
    return sorted(axis % read.dim() for axis in dim) == [read.dim() - 2, read.dim() - 1]


LAYERS: dict[str, Callable[..., Any]] = {
    "conv2d": _conv,
    "linear": _linear,
    "matmul": lambda read, weight: _linear(read, weight.T),
    "dropout": _dropout,
    "mean": _mean,
    "sum": _sum,
    "avg_pool2d": lambda _, *args, **kwargs: nn.AvgPool2d(*args, **kwargs),
    "max_pool2d": lambda _, *args, **kwargs: nn.MaxPool2d(*args, **kwargs),
    "adaptive_avg_pool2d": lambda _, *args, **kwargs: nn.AdaptiveAvgPool2d(*args, **kwargs),
}


def _owner(node: fx.Node) -> str:
    """Return the name of the layer whose weights a function takes, else of the tensor."""
    weight: Any = node.args[1] if len(node.args) > 1 else node.kwargs.get("weight")
    if getattr(weight, "op", "") != "get_attr":
        return name_of_target(node.target)
    path = str(weight.target).partition(".")[2]
    layer, _, tensor = path.rpartition(".")
    return layer if layer and tensor == "weight" else path
