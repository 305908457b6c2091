"""The poolings and the camera layer before the first weight layer, as the chip's input stage."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from speckflex.conversion._pooling import pool_of
from speckflex.errors import ConversionError
from speckflex.networks.layer_kinds import kind_of
from speckflex.program.records import InputStage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from speckflex.program.records import Pair, Shape

__all__ = ["input_stage"]


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
        if kind_of(layer).role == "input stage":
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
    pool_y, pool_x = layer.get_pooling()
    return replace(
        stage,
        pooling=(int(pool_y), int(pool_x)),
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
                f"pools {window} after a crop from {origin} of size {size}, but the chip pools"
                " first: make start and size of the crop multiples of the pooling"
            )
    whole = stage.size is None
    pooled = (size[0] // window[0], size[1] // window[1])
    return replace(
        stage,
        pooling=(stage.pooling[0] * window[0], stage.pooling[1] * window[1]),
        origin=(origin[0] // window[0], origin[1] // window[1]),
        size=None if whole else pooled,
    )
