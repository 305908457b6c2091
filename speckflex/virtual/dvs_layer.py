"""What the monitor of the DVS layer shows: events as they leave the pre-processing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speckflex.events.streams import make_events

if TYPE_CHECKING:
    from speckflex.program.records import InputStage
    from speckflex.twin.settings import MirrorFrame

__all__ = ["preprocess"]


def preprocess(
    stage: InputStage, events: np.ndarray, mirror_frame: MirrorFrame = "region"
) -> np.ndarray:
    """Return the events that pass, at the addresses they leave with.

    Polarity, pooling, region of interest, mirror, exchange of x and y (datasheet figure 6).

    Args:
        stage: the layer's settings.
        events: `(n,)` event array, inside the stage's shape.
        mirror_frame: as in `TwinSettings`.
    """
    on = events["p"] == 1
    passes = np.where(on, stage.keep_on, stage.keep_off)
    mirrored = (stage.mirror_y, stage.mirror_x)
    places = []
    for axis, name in enumerate("yx"):
        place = events[name] // stage.pooling[axis]
        if mirrored[axis] and mirror_frame == "sensor":
            place = stage.shape[axis + 1] // stage.pooling[axis] - 1 - place
        place = place - stage.origin[axis]
        passes &= (place >= 0) & (place < stage.region[axis])
        if mirrored[axis] and mirror_frame == "region":
            place = stage.region[axis] - 1 - place
        places.append(place)
    y, x = reversed(places) if stage.swap_xy else places
    feature = np.zeros_like(events["p"]) if stage.merge_polarities else events["p"]
    return make_events(events["t"], x, y, feature)[passes]
