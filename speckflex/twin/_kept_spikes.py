"""The spikes of monitored layers, kept until the sample ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speckflex.events.streams import EVENT_DTYPE
from speckflex.kernels.spikes_as_events import write_events

if TYPE_CHECKING:
    from collections.abc import Mapping

    from speckflex.program.routing import Places
    from speckflex.twin._queues import Queue

__all__ = ["KeptSpikes"]


class KeptSpikes:
    """Collects spikes block by block.

    Args:
        places: for each layer whose spikes are kept, by position, the places of its map.
    """

    def __init__(self, places: Mapping[int, Places]) -> None:
        self._places = places
        self._blocks: dict[int, list[np.ndarray]] = {index: [] for index in places}

    def __bool__(self) -> bool:
        """Return whether any layer's spikes are kept."""
        return bool(self._places)

    def __contains__(self, index: int) -> bool:
        """Return whether a layer's spikes are kept."""
        return index in self._places

    def add(self, index: int, spikes: Queue) -> None:
        """Keep spikes of one layer, if it is wanted; their arrays may change afterwards."""
        if index not in self or spikes.times is None:
            return
        places = self._places[index]
        block = np.empty(len(spikes), EVENT_DTYPE)
        write_events(
            spikes.codes, spikes.times, places.columns, places.rows, places.channels, block
        )
        self._blocks[index].append(block)

    def events(self, index: int) -> np.ndarray | None:
        """Return one layer's spikes as an event array; None if they aren't kept."""
        if index not in self:
            return None
        # as bytes: numpy would join records field by field
        blocks = [block.view(np.uint8) for block in self._blocks[index]]
        return np.concatenate([np.empty(0, np.uint8), *blocks]).view(EVENT_DTYPE)
