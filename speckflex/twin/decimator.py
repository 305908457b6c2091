"""The output decimator: one of N spikes of a core goes on to its destinations."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from speckflex.boards.settings import TwinSettings
    from speckflex.program import Core

__all__ = ["RATIOS", "Decimator"]

RATIOS = (2, 4, 8, 16, 32, 128, 256, 512)  # DS table 4; 64 is skipped there


class Decimator:
    """Counts a core's spikes and passes one in N.

    Attributes:
        ratio: N; 1 where no decimator is on.
        phase: which of N passes, counted from 0.
        seen: how many spikes came before.
    """

    def __init__(self, core: Core, settings: TwinSettings) -> None:
        interval = core.decimator_interval
        self.ratio = 1 if interval is None else RATIOS[interval]
        self.phase = self.ratio - 1 if settings.decimator_passes == "last" else 0
        self.seen = 0

    def reset(self) -> None:
        """Begin to count anew."""
        self.seen = 0

    def passing(self, n_spikes: int) -> slice:
        """Return which of the next spikes pass."""
        first = (self.phase - self.seen) % self.ratio
        self.seen += n_spikes
        return slice(first, None, self.ratio)
