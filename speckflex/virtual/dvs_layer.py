"""What the monitor of the DVS layer shows: events as they leave the pre-processing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speckflex.events import make_events

if TYPE_CHECKING:
    from speckflex.program import InputStage

__all__ = ["preprocess"]


def preprocess(stage: InputStage, events: np.ndarray) -> np.ndarray:
    """Return the events that pass, at the addresses they leave with.

    Polarity, pooling, region of interest, mirror, exchange of x and y (datasheet figure 6).

    Args:
        stage: the layer's settings.
        events: `(n,)` event array, inside the stage's shape.
    """
    height, width = stage.region
    y = events["y"] // stage.pooling[0] - stage.origin[0]
    x = events["x"] // stage.pooling[1] - stage.origin[1]
    on = events["p"] == 1
    passes = np.where(on, stage.keep_on, stage.keep_off)
    passes &= (y >= 0) & (y < height) & (x >= 0) & (x < width)
    if stage.mirror_y:
        y = height - 1 - y
    if stage.mirror_x:
        x = width - 1 - x
    if stage.swap_xy:
        y, x = x, y
    feature = np.zeros_like(events["p"]) if stage.merge_polarities else events["p"]
    return make_events(events["t"], x, y, feature)[passes]
