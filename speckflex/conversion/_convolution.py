"""Weight layers of torch as square, dense convolutions, the only form that a core takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from speckflex.errors import ConversionError
from speckflex.networks.layer_kinds import own_forward

if TYPE_CHECKING:
    from speckflex.program.records import Pair, Shape

__all__ = ["Convolution", "convolution_of"]


@dataclass(frozen=True)
class Convolution:
    """A bias-free, dense, square convolution in float32.

    Args:
        weights: (out, in, k, k).
        stride: (y, x).
        padding: (y, x).
        changes: what was done to the torch layer to bring it into this form.
    """

    weights: torch.Tensor
    stride: Pair
    padding: Pair
    changes: tuple[str, ...] = ()

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the (channel, y, x) shape that a map of `input_shape` gives."""
        out, _, kernel_y, kernel_x = self.weights.shape
        y = (input_shape[1] + 2 * self.padding[0] - kernel_y) // self.stride[0] + 1
        x = (input_shape[2] + 2 * self.padding[1] - kernel_x) // self.stride[1] + 1
        return (out, y, x)


def convolution_of(layer: nn.Module, input_shape: Shape) -> Convolution:
    """Return the convolution that computes what `layer` does on maps of `input_shape`.

    Args:
        layer: an nn.Conv2d or nn.Linear; its bias is left out.
        input_shape: (channel, y, x) of the map that arrives.

    Raises:
        ConversionError: no square convolution computes it; the message lacks the layer's name.
    """
    if not isinstance(layer, (nn.Conv2d, nn.Linear)):
        raise ConversionError(f"the chip has no {type(layer).__name__}: use Conv2d or Linear")
    if own_forward(layer):
        raise ConversionError(
            f"{type(layer).__name__} has a forward pass of its own: use a plain Conv2d or Linear"
        )
    if isinstance(layer, nn.Linear):
        return _square(_linear_weights(layer, input_shape), (1, 1), (0, 0), input_shape)
    return _square_conv(layer, input_shape)


def _linear_weights(layer: nn.Linear, input_shape: Shape) -> torch.Tensor:
    channels, y, x = input_shape
    if layer.in_features != channels * y * x:
        raise ConversionError(
            f"it reads {layer.in_features} values, but a map of {channels} x {y} x {x} arrives:"
            " flatten the map before it"
        )
    return layer.weight.detach().clone().reshape(layer.out_features, channels, y, x)


def _square_conv(layer: nn.Conv2d, input_shape: Shape) -> Convolution:
    changes = []
    padded = layer.padding != "valid" and any(_padding(layer))
    if layer.padding_mode != "zeros" and padded:
        raise ConversionError(
            f"the chip has no padding_mode {layer.padding_mode!r}: train with 'zeros'"
        )
    weights = layer.weight.detach().clone()
    if layer.groups > 1:
        weights = _dense(weights, layer.groups)
        changes.append(
            f"{layer.groups} groups became dense kernels with zeros, which takes {layer.groups}"
            " times the kernel memory"
        )
    dilation = (int(layer.dilation[0]), int(layer.dilation[1]))
    if dilation != (1, 1):
        weights = _spread(weights, dilation)
        changes.append(f"dilation {dilation} became a kernel of {tuple(weights.shape[2:])}")
    stride = (int(layer.stride[0]), int(layer.stride[1]))
    if layer.padding == "same":
        weights = _odd(weights)
        padding = (weights.shape[2] // 2, weights.shape[3] // 2)
    else:
        padding = _padding(layer)
    found = _square(weights, stride, padding, input_shape)
    return Convolution(found.weights, found.stride, found.padding, (*changes, *found.changes))


def _padding(layer: nn.Conv2d) -> Pair:
    if layer.padding == "same":
        return (1, 1) if max(layer.kernel_size) > 1 else (0, 0)
    if layer.padding == "valid":
        return (0, 0)
    return (int(layer.padding[0]), int(layer.padding[1]))


def _dense(weights: torch.Tensor, groups: int) -> torch.Tensor:
    """Return kernels over all input channels, zero outside a group's own channels."""
    out, own, *kernel = weights.shape
    dense = weights.new_zeros(out, own * groups, *kernel)
    share = out // groups
    for group in range(groups):
        rows = slice(group * share, (group + 1) * share)
        dense[rows, group * own : (group + 1) * own] = weights[rows]
    return dense


def _spread(weights: torch.Tensor, dilation: Pair) -> torch.Tensor:
    """Return a kernel without dilation, with zeros between the taps."""
    out, channels, y, x = weights.shape
    size = ((y - 1) * dilation[0] + 1, (x - 1) * dilation[1] + 1)
    spread = weights.new_zeros(out, channels, *size)
    spread[:, :, :: dilation[0], :: dilation[1]] = weights
    return spread


def _odd(weights: torch.Tensor) -> torch.Tensor:
    """Return an odd kernel: torch's "same" puts the odd row of padding behind the map."""
    y, x = weights.shape[2:]
    return nn.functional.pad(weights, (1 - x % 2, 0, 1 - y % 2, 0))


def _square(weights: torch.Tensor, stride: Pair, padding: Pair, input_shape: Shape) -> Convolution:
    """Pad the kernel with zeros to a square one that gives the same output."""
    kernel_y, kernel_x = weights.shape[2:]
    if kernel_y == kernel_x:
        return Convolution(weights, stride, padding)
    longest = max(kernel_y, kernel_x)
    for side in range(longest, 2 * longest + 1):
        axes = [
            _grown(input_shape[1 + axis] + 2 * padding[axis] - size, side - size, stride[axis])
            for axis, size in enumerate((kernel_y, kernel_x))
        ]
        if axes[0] is None or axes[1] is None:
            continue
        (front_y, stride_y), (front_x, stride_x) = axes[0], axes[1]
        back_y, back_x = side - kernel_y - front_y, side - kernel_x - front_x
        grown = nn.functional.pad(weights, (front_x, back_x, front_y, back_y))
        return Convolution(
            grown,
            (stride_y, stride_x),
            (padding[0] + front_y, padding[1] + front_x),
            (f"kernel {kernel_y} x {kernel_x} became {side} x {side} with zeros",),
        )
    raise ConversionError(
        f"kernel {kernel_y} x {kernel_x} can't be made square on a map of {input_shape[1]} x"
        f" {input_shape[2]} with stride {stride}: use a square kernel"
    )


def _grown(reach: int, extra: int, stride: int) -> tuple[int, int] | None:
    """Return how many of `extra` zeros go in front, and the stride, for the same outputs.

    `reach` is the padded map less the kernel. With `front` zeros and as much more padding on
    both sides it becomes `reach + front - back`, and `// stride + 1` outputs must stay.
    """
    outputs = reach // stride + 1
    # With one output the stride has no meaning and may be the chip's next one.
    strides = (stride, 2) if outputs == 1 and stride == 1 else (stride,)
    for chosen in strides:
        for front in range(extra + 1):
            if (reach + 2 * front - extra) // chosen + 1 == outputs:
                return front, chosen
    return None
