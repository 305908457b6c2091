"""The poolings and the camera layer before the first weight layer, as the chip's input stage."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from speckflex.errors import ConversionError
from speckflex.program.records import InputStage

if TYPE_CHECKING:
    from speckflex.program.records import Pair

__all__ = ["with_camera_layer", "with_pool"]


def with_camera_layer(stage: InputStage, layer: Any) -> InputStage:
    """Return a stage that does what sinabs' DVSLayer does.

    Raises:
        ConversionError: the stage pools already.
    """
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


def with_pool(stage: InputStage, window: Pair) -> InputStage:
    """Return a stage with one more pooling, moved to the front, where the chip has it.

    Raises:
        ConversionError: a crop between the two does not allow that.
    """
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
