"""Boards: what takes a Program and event streams and returns a Recording."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol, overload

from speckflex.boards.family import BoardFamily, BoardName, find_family
from speckflex.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    import numpy as np
    from typing_extensions import Self, Unpack

    from speckflex.boards.options import BoardOptions, TwinName, TwinOptions
    from speckflex.boards.twin import Twin
    from speckflex.program.program import Program
    from speckflex.recordings.recording import Recording

__all__ = ["Board", "BoardFamily", "open_board"]

log = logging.getLogger(__name__)


class Board(Protocol):
    """A chip, its twin, or a replay: the same program in, the same kind of recording out.

    Attributes:
        name: the name it was opened by, such as "twin" or "speck2e:0"; it begins with the
            name of the board's family.
        kind: that of its family, such as "twin", "chip", "virtual" or "replay".
    """

    name: str
    kind: str

    def load(self, program: Program) -> None:
        """Take in a program; what was loaded before is gone."""
        ...

    def play(
        self,
        events: np.ndarray | Sequence[np.ndarray],
        *,
        monitor: Sequence[int] | None = None,
        keep_events: bool = True,
        reset: bool = True,
    ) -> Recording:
        """Play one sample, or a list of them, and return what the layers spiked.

        Args:
            events: one structured array, or one per sample; fields t (µs), x, y, p.
            monitor: positions of the layers to record, -1 the last; None for all.
            keep_events: keep the spikes themselves, not their counts alone.
            reset: set every neuron to its initial state before each sample.
        """
        ...

    def close(self) -> None:
        """Release the device; a closed board plays nothing."""
        ...

    def __enter__(self) -> Self:
        """Return the board itself."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the board."""
        ...


@overload
def open_board(name: TwinName = "twin", **settings: Unpack[TwinOptions]) -> Twin: ...


@overload
def open_board(name: str, **settings: Unpack[BoardOptions]) -> Board: ...


def open_board(name: str = "twin", **settings: Any) -> Board:
    """Open a board by name.

    A type checker knows the settings of this package's boards. Those of a board that another
    package adds are given from a dict: `open_board("farm:3", **settings)`.

    Args:
        name: "twin", or "twin:cuda" for one on a GPU; "speck2e:0" or "speck2f:SERIAL" for a
            chip; "virtual:speck2e" for the stand-in of one; "replay:run.h5" for a recorded
            session; or a board of a family that another package adds. "?probe=FILE" behind a name
            is the setting `probe`.
        settings: the board's own parameters, such as `threads` of the twin.

    Raises:
        BoardNotFoundError: no board has that name, or none is attached.
        BoardError: the board has no such setting, or a value is out of range.
    """
    family, parsed = find_family(name), BoardName.parse(name)
    if parsed.probe:
        settings = {"probe": parsed.probe, **settings}
    unknown = [setting for setting in settings if setting not in family.settings]
    if unknown:
        known = f"choose from {', '.join(family.settings)}" if family.settings else "it has none"
        raise BoardError(f"board {name}: {unknown[0]} is no setting of this board: {known}")
    board = family.open(parsed.address, **settings)
    log.info("opened board %s", board.name)
    return board
