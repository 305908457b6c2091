"""The output decimator: one of N spikes of a core goes on to its destinations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speckflex.errors import BoardError

if TYPE_CHECKING:
    from speckflex.boards.settings import TwinSettings
    from speckflex.program import Core

__all__ = ["RATIOS", "Decimator"]

RATIOS = (2, 4, 8, 16, 32, 128, 256, 512)  # DS table 4; 64 is skipped there


class Decimator:
    """Counts a core's spikes and passes one in N.

    Raises:
        BoardError: the core's interval is not one of the chip's.
    """

    def __init__(self, core: Core, settings: TwinSettings) -> None:
        interval = core.decimator_interval
        if interval is not None and interval not in range(len(RATIOS)):
            raise BoardError(
                f"core {core.name}: decimator interval {interval} is not known:"
                f" give 0 to {len(RATIOS) - 1}, or None for off"
            )
        self.ratio = 1 if interval is None else RATIOS[interval]
        self._passing = self.ratio - 1 if settings.decimator_passes == "last" else 0
        self._seen = 0

    def reset(self) -> None:
        """Begin to count anew."""
        self._seen = 0

    def passing(self, n_spikes: int) -> slice:
        """Return which of the next spikes pass."""
        first = (self._passing - self._seen) % self.ratio
        self._seen += n_spikes
        return slice(first, None, self.ratio)
