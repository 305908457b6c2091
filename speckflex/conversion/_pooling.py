"""Pooling layers of torch and sinabs as windows that the chip sums spikes over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sinabs.layers as sl
from torch import nn

from speckflex.errors import ConversionError

if TYPE_CHECKING:
    from speckflex.program.records import Pair

__all__ = ["pool_of"]


def pool_of(layer: nn.Module, shape: tuple[int, ...]) -> tuple[Pair, float]:
    """Return a pooling layer's (y, x) window and the factor of its sum.

    Args:
        layer: AvgPool2d, SumPool2d or AdaptiveAvgPool2d.
        shape: (channel, y, x) of the map that arrives, of any leading axes.

    Raises:
        ConversionError: the chip can't pool like that; the message lacks the layer's name.
    """
    if isinstance(layer, nn.AdaptiveAvgPool2d):
        return _adaptive(layer, shape)
    if not isinstance(layer, (nn.AvgPool2d, sl.SumPool2d)):
        raise ConversionError(
            f"{type(layer).__name__} is not on the chip, which only sums spikes:"
            " use AvgPool2d or SumPool2d and train again"
        )
    window = _pair(layer.kernel_size)
    stride = window if layer.stride is None else _pair(layer.stride)
    if stride != window:
        raise ConversionError(
            f"pools {window} with stride {stride}, but the chip's windows neither overlap nor leave"
            " gaps: make stride and kernel_size equal"
        )
    if _pair(getattr(layer, "padding", 0)) != (0, 0):
        raise ConversionError(
            f"pools with padding {layer.padding}, which the chip does not have: pool without"
            " padding"
        )
    if layer.ceil_mode and any(size % side for size, side in zip(shape[-2:], window, strict=True)):
        raise ConversionError(
            f"pools a map of {tuple(shape[-2:])} by {window} with ceil_mode, which the chip does"
            " not have: pad the map instead"
        )
    if isinstance(layer, sl.SumPool2d):
        return window, 1.0
    divisor = getattr(layer, "divisor_override", None) or window[0] * window[1]
    return window, 1.0 / divisor


def _adaptive(layer: nn.AdaptiveAvgPool2d, shape: tuple[int, ...]) -> tuple[Pair, float]:
    size = layer.output_size if isinstance(layer.output_size, tuple) else (layer.output_size,) * 2
    wanted = [have if want is None else want for want, have in zip(size, shape[-2:], strict=True)]
    if any(have % want for want, have in zip(wanted, shape[-2:], strict=True)):
        raise ConversionError(
            f"pools a map of {tuple(shape[-2:])} to {tuple(wanted)}, which no window divides:"
            " use AvgPool2d"
        )
    window = (shape[-2] // wanted[0], shape[-1] // wanted[1])
    return window, 1.0 / (window[0] * window[1])


def _pair(value: Any) -> Pair:
    if isinstance(value, int):
        return (value, value)
    return (int(value[0]), int(value[1]))
