"""The input stage: the chip's DVS pre-processing layer, on arrays of events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speckflex.twin.queues import Queue

if TYPE_CHECKING:
    from speckflex.program import InputStage

__all__ = ["enter"]


def enter(stage: InputStage, events: np.ndarray, *, with_path: bool) -> Queue:
    """Return what the input stage lets through, at the addresses it gives.

    Order: polarity, pooling, region of interest, mirror, exchange of x and y (datasheet
    figure 6; the mirror acts inside the region, as in sinabs).

    Args:
        stage: the stage's settings.
        events: `(n,)` event array.
        with_path: keep each spike's place in the depth-first order.
    """
    cause = np.arange(len(events), dtype=np.int32)
    channels, rows, columns = (events[name].astype(np.int32) for name in ("p", "y", "x"))
    queue = Queue(cause, channels, rows, columns, cause[:, None] if with_path else None)
    return queue if stage.is_identity else _transform(stage, queue)


def _transform(stage: InputStage, queue: Queue) -> Queue:
    height, width = stage.region
    kept = np.ones(len(queue), bool)
    if not stage.keep_off:
        kept &= queue.channels != 0
    if not stage.keep_on:
        kept &= queue.channels != 1
    rows = queue.rows // stage.pooling[0] - stage.origin[0]
    columns = queue.columns // stage.pooling[1] - stage.origin[1]
    kept &= (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    if stage.mirror_y:
        rows = height - 1 - rows
    if stage.mirror_x:
        columns = width - 1 - columns
    if stage.swap_xy:
        rows, columns = columns, rows
    channels = np.zeros_like(queue.channels) if stage.merge_polarities else queue.channels
    return Queue(queue.cause, channels, rows, columns, queue.path).take(kept)
