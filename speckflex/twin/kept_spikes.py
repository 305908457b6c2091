"""The spikes of monitored layers, kept until the sample ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speckflex.events import EVENT_DTYPE, make_events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.twin.queues import Queue
    from speckflex.twin.routing import Places

__all__ = ["KeptSpikes"]


class KeptSpikes:
    """Collects spikes block by block.

    Args:
        wanted: positions of the layers whose spikes are kept.
    """

    def __init__(self, wanted: Sequence[int]) -> None:
        self.wanted = frozenset(wanted)
        self._addresses: dict[int, list[np.ndarray]] = {}
        self._times: dict[int, list[np.ndarray]] = {}

    def add(self, index: int, spikes: Queue) -> None:
        """Keep spikes of one layer, if it is wanted."""
        if index in self.wanted and spikes.times is not None:
            # the codes may lie in a buffer that the core writes again
            self._addresses.setdefault(index, []).append(spikes.codes.copy())
            self._times.setdefault(index, []).append(spikes.times)

    def events(self, index: int, places: Places) -> np.ndarray:
        """Return one layer's spikes as an event array.

        Args:
            index: the layer's position.
            places: of the layer's map.
        """
        if index not in self._addresses:
            return np.empty(0, EVENT_DTYPE)
        addresses = np.concatenate(self._addresses[index])
        return make_events(
            np.concatenate(self._times[index]),
            places.columns[addresses],
            places.rows[addresses],
            places.channels[addresses],
        )
