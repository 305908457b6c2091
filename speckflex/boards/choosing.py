"""The board that a deployment asks for, or the twin in place of a chip that is not attached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from speckflex.boards import open_board
from speckflex.boards.family import BoardFamily, BoardName, family_of, find_families, find_family
from speckflex.chips import DEFAULT_CHIP
from speckflex.errors import BoardNotFoundError

if TYPE_CHECKING:
    from speckflex.boards import Board

__all__ = ["ChosenBoard", "chip_for", "choose_board"]


@dataclass(frozen=True, eq=False)
class ChosenBoard:
    """An opened board.

    Args:
        board: the board.
        asked: the name that was asked for.
        note: why this is not the board that was asked for; "" if it is.
    """

    board: Board
    asked: str
    note: str = ""

    @property
    def family(self) -> BoardFamily:
        """What is known of all boards of its family."""
        return family_of(self.board)


def choose_board(
    name: str,
    *,
    require_chip: bool = False,
    slow_clock: float | None = None,
    threads: int | None = None,
    power: float | None = None,
) -> ChosenBoard:
    """Open the board of that name; a chip that is not attached is replaced by the twin.

    Args:
        name: as for `open_board`; a family of chips without an address, such as "speck2e", is
            its first chip, or the twin if none is attached.
        require_chip: make a missing chip an error.
        slow_clock: Hz of the board's slow clock; None for none. A board without one ignores it.
        threads: of the twin; None for one per processor.
        power: Hz at which a devkit measures its power; None for not at all. A board without a
            power monitor ignores it.

    Raises:
        BoardNotFoundError: there is no such board, or no chip although one is required.
        BoardError: the board can't be opened, or a setting is out of range.
    """
    family = find_family(name)
    if require_chip and not family.is_chip:
        chips = " or ".join(other.name for other in find_families() if other.is_chip)
        raise BoardNotFoundError(f"board {name!r} is no chip, and a chip is required: name {chips}")
    settings: dict[str, Any] = {"slow_clock": slow_clock, "threads": threads, "power": power}
    try:
        return ChosenBoard(open_board(name, **family.accepted(settings)), name)
    except BoardNotFoundError:
        if require_chip or not family.is_chip or BoardName.parse(name).address:
            raise
        kind, probe = BoardName.parse(name).family, BoardName.parse(name).probe
        settings["probe"] = probe or None
        note = f"no {kind} is attached, its software twin runs instead (why: speckflex doctor)"
        twin = find_family("twin").accepted(settings)
        return ChosenBoard(open_board("twin", **twin), name, note)


def chip_for(name: str) -> str:
    """Return the name of the chip that a network is converted for, to play it on a board.

    Args:
        name: as for `open_board`.

    Raises:
        BoardNotFoundError: there is no such board.
        BoardError: the package that adds the board is broken.
    """
    return find_family(name).chip_at(BoardName.parse(name).address) or DEFAULT_CHIP
