"""Boards: what takes a Program and event streams and returns a Recording."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from speckflex.errors import BoardNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    import numpy as np
    from typing_extensions import Self

    from speckflex.program.program import Program
    from speckflex.recordings.recording import Recording

__all__ = ["Board", "open_board"]


class Board(Protocol):
    """A chip, its twin, or a replay: the same program in, the same kind of recording out.

    Attributes:
        name: the name it was opened by, such as "twin" or "speck2e:0".
        kind: "twin", "chip", "virtual" or "replay".
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


def open_board(name: str = "twin", **settings: Any) -> Board:
    """Open a board by name.

    Args:
        name: "twin", or "twin:cuda" for one on a GPU; "speck2e:0" or "speck2f:SERIAL" for a
            chip; "virtual:speck2e" for the stand-in of one; "replay:run.h5" for a recorded
            session.
        settings: the board's own parameters, such as `threads` of the twin.

    Raises:
        BoardNotFoundError: no board has that name, or none is attached.
    """
    family, _, rest = str(name).partition(":")
    opener = _OPENERS.get(family)
    if opener is None:
        raise BoardNotFoundError(
            f"board {name!r} is not known: choose one of twin, speck2e:INDEX, speck2f:INDEX,"
            " virtual:speck2e, virtual:speck2f, replay:FILE"
        )
    return opener(name, rest, settings)


def _open_twin(name: str, rest: str, settings: dict[str, Any]) -> Board:
    from speckflex.boards.twin import Twin

    if rest:
        settings = {**settings, "device": rest}
    return Twin(**settings)


def _open_chip(name: str, rest: str, settings: dict[str, Any]) -> Board:
    from speckflex.boards.chip.opening import open_chip

    return open_chip(name, **settings)


def _open_virtual(name: str, rest: str, settings: dict[str, Any]) -> Board:
    from speckflex.boards.chip.opening import open_virtual

    return open_virtual(rest, **settings)


def _open_replay(name: str, rest: str, settings: dict[str, Any]) -> Board:
    from speckflex.boards.replay import Replay

    return Replay(rest, **settings)


_OPENERS: dict[str, Callable[[str, str, dict[str, Any]], Board]] = {
    "twin": _open_twin,
    "speck2e": _open_chip,
    "speck2f": _open_chip,
    "virtual": _open_virtual,
    "replay": _open_replay,
}
