"""The output decimator: one of N spikes of a core goes on to its destinations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from speckflex.program.records import Core
    from speckflex.twin.settings import TwinSettings

__all__ = ["RATIOS", "Decimator"]

RATIOS = (2, 4, 8, 16, 32, 128, 256, 512)  # DS table 4; 64 is skipped there


class Decimator:
    """Counts a core's spikes and passes one in N.

    Attributes:
        ratio: N; 1 where no decimator is on.
        phase: which of N passes, counted from 0.
    """

    def __init__(self, core: Core, settings: TwinSettings) -> None:
        interval = core.decimator_interval
        self.ratio = 1 if interval is None else RATIOS[interval]
        self.phase = self.ratio - 1 if settings.decimator_passes == "last" else 0
        self._seen = np.zeros(1, np.int64)

    @property
    def seen(self) -> int:
        """How many spikes came before."""
        return int(self._seen[0])

    @seen.setter
    def seen(self, value: int) -> None:
        self._seen[0] = value

    def move_into(self, seen: np.ndarray) -> None:
        """Keep how many spikes came before in another array, `(1,) int64`, and its value."""
        seen[:] = self._seen
        self._seen = seen

    def reset(self) -> None:
        """Begin to count anew."""
        self.seen = 0

    def passing(self, n_spikes: int) -> slice:
        """Return which of the next spikes pass."""
        first = (self.phase - self.seen) % self.ratio
        self.seen += n_spikes
        return slice(first, None, self.ratio)
