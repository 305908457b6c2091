"""The chip as a board, through samna."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from speckflex.boards.samna_access import real_samna_installed
from speckflex.errors import BoardNotFoundError

if TYPE_CHECKING:
    from speckflex.boards import Board

__all__ = ["open_chip"]


def open_chip(name: str, **settings: Any) -> Board:
    """Open the chip of that name.

    Raises:
        BoardNotFoundError: samna is not installed, or no such chip is attached.
    """
    if not real_samna_installed():
        raise BoardNotFoundError(
            f"board {name}: the vendor's samna is not installed: install it to reach a chip,"
            " or use the twin"
        )
    raise BoardNotFoundError(f"board {name}: no such chip is attached: see 'speckflex boards'")
