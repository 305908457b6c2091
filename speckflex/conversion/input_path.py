"""What lies before the first weight layer, as the chip's input stage."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sinabs.layers as sl
from torch import nn

from speckflex.errors import ConversionError
from speckflex.program.records import InputStage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.program.records import Pair, Shape

__all__ = ["input_stage", "pool_of"]


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
            f"pools {window} with stride {stride}, the chip's windows do not overlap or leave"
            " gaps: make stride and kernel_size equal"
        )
    if _pair(getattr(layer, "padding", 0)) != (0, 0):
        raise ConversionError(f"pools with padding {layer.padding}: the chip pools without any")
    if layer.ceil_mode and any(size % side for size, side in zip(shape[-2:], window, strict=True)):
        raise ConversionError(
            f"pools a map of {tuple(shape[-2:])} by {window} with ceil_mode: pad the map instead"
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


def input_stage(shape: Shape, layers: Sequence[nn.Module]) -> tuple[InputStage, float]:
    """Return the stage that does what `layers` do to events, and the factor of their sums.

    Args:
        shape: (channel, y, x) of the events.
        layers: sinabs' DVSLayer and pooling layers, in order.

    Raises:
        ConversionError: the chip's order (pool, crop, mirror) can't do it.
    """
    stage, factor = InputStage(shape), 1.0
    for layer in layers:
        if hasattr(layer, "crop_layer"):
            stage = _with_dvs(stage, layer)
        else:
            window, share = pool_of(layer, stage.output_shape)
            stage = _with_pool(stage, window)
            factor *= share
    return stage, factor


def _with_dvs(stage: InputStage, layer: Any) -> InputStage:
    if stage != InputStage(stage.shape):
        raise ConversionError("a DVSLayer must come before any pooling: put it first")
    (top, bottom), (left, right) = layer.get_roi()
    return replace(
        stage,
        pooling=_pair(layer.get_pooling()),
        merge_polarities=bool(layer.merge_polarities) and stage.shape[0] > 1,
        origin=(int(top), int(left)),
        size=(int(bottom - top), int(right - left)),
        mirror_y=bool(layer.flip_layer.flip_y),
        mirror_x=bool(layer.flip_layer.flip_x),
        swap_xy=bool(layer.flip_layer.swap_xy),
    )


def _with_pool(stage: InputStage, window: Pair) -> InputStage:
    """Move a pooling that comes last to the front, where the chip has it."""
    if stage.swap_xy:
        window = (window[1], window[0])
    size, origin = stage.region, stage.origin
    mirrored = (stage.mirror_y, stage.mirror_x)
    for axis in (0, 1):
        cut = mirrored[axis] and size[axis] % window[axis]
        if origin[axis] % window[axis] or cut:
            raise ConversionError(
                f"pools {window} after a crop from {origin} of size {size}: the chip pools"
                " first, so start and size of the crop must be multiples of the pooling"
            )
    whole = stage.size is None
    pooled = (size[0] // window[0], size[1] // window[1])
    return replace(
        stage,
        pooling=(stage.pooling[0] * window[0], stage.pooling[1] * window[1]),
        origin=(origin[0] // window[0], origin[1] // window[1]),
        size=None if whole else pooled,
    )


def _pair(value: Any) -> Pair:
    if isinstance(value, int):
        return (value, value)
    return (int(value[0]), int(value[1]))
