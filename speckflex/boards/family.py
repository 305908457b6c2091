"""The families of boards: what is known of a board before it is opened.

A board's name is a family and an address, such as "speck2e:0". Each family is an entry point of the
group `speckflex.boards`; another package adds one by an entry point of its own:

    [project.entry-points."speckflex.boards"]
    farm = "mypackage.farm:FARM"                # a BoardFamily whose name is "farm"
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from speckflex._support.plugins import entry_names, find_each, load_entry
from speckflex.errors import BoardError, BoardNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from speckflex.boards import Board

__all__ = [
    "BoardFamily",
    "BoardName",
    "board_called",
    "family_of",
    "find_families",
    "find_family",
]

GROUP = "speckflex.boards"
PROBE = "?probe="  # what a board opens with, at the end of its name
OWN = "twin"  # any installed metadata of this version lists this family


@dataclass(frozen=True)
class BoardName:
    """The name of a board in its parts, such as `virtual:speck2e?probe=probe.json`.

    Args:
        family: what stands before the first colon.
        address: what stands behind it; "" where the name has no colon.
        probe: the file of `speckflex probe` that the board opens with; "" for none.
    """

    family: str
    address: str = ""
    probe: str = ""

    @classmethod
    def parse(cls, name: str) -> BoardName:
        """Return the parts of a name."""
        board, _, probe = str(name).partition(PROBE)
        family, _, address = board.partition(":")
        return cls(family, address, probe)

    def __str__(self) -> str:
        name = f"{self.family}:{self.address}" if self.address else self.family
        return f"{name}{PROBE}{self.probe}" if self.probe else name


@dataclass(frozen=True)
class BoardFamily:
    """One family of boards; its module must be quick to import, since every command may ask it.

    Args:
        name: of the family, and of its entry point.
        kind: what recordings of its boards say: "twin", "chip", "virtual", "replay", or a word of
            your own.
        label: what such a board is, in a few words.
        called: how a sentence names such a board, such as "the chip".
        open: returns an opened board whose `name` begins with the family. It takes the address,
            and the settings by name.
        settings: the names of the settings. A setting `slow_clock` is a rate in Hz, a setting
            `threads` a number of threads: `speckflex deploy` passes them to the families that have
            them.
        chip_at: returns the name of the chip at an address; None if the board runs programs for any
            chip. It may raise what `open` raises.
        names: names of boards that can always be opened, each with what it is.
        is_twin: whether it is the software twin, with which other boards are compared.
        is_chip: whether silicon computes the spikes.
        is_devkit: whether programs reach it as they reach a chip, through samna or its stand-in.
        needs_samna: whether the vendor's samna and a USB device are needed.
        one_by_one: whether each sample takes its own time, so that batches bring no gain.
        repeats: whether the same events always give the same spikes.
    """

    name: str
    kind: str
    label: str
    called: str
    open: Callable[..., Board]
    settings: tuple[str, ...] = ()
    chip_at: Callable[[str], str | None] = lambda _address: None
    names: tuple[tuple[str, str], ...] = ()
    is_twin: bool = False
    is_chip: bool = False
    is_devkit: bool = False
    needs_samna: bool = False
    one_by_one: bool = False
    repeats: bool = False

    def accepted(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return those of the settings that the family has."""
        return {name: value for name, value in settings.items() if name in self.settings}


def find_family(name: str) -> BoardFamily:
    """Return the family that a board's name begins with.

    Args:
        name: of a board, or of the family alone.

    Raises:
        BoardNotFoundError: there is no such family.
        BoardError: the package that adds it is broken, or speckflex's metadata is out of date.
    """
    try:
        return _load(BoardName.parse(name).family)
    except LookupError:
        known = ", ".join(_names())
        raise BoardNotFoundError(
            f"board {str(name)!r} is not known: begin its name with one of {known}"
        ) from None


def find_families() -> tuple[BoardFamily, ...]:
    """Return all families in the order of their names; log a warning for each broken one.

    Raises:
        BoardError: speckflex's metadata is out of date.
    """
    return find_each(_names(), find_family)


def board_called(name: str, kind: str) -> str:
    """Return how a sentence names the board of a recording, such as "the virtual devkit".

    Args:
        name: of the board; its family may be one that is not installed here.
        kind: of the recording.
    """
    try:
        return find_family(name).called
    except BoardError:
        alike = (family.called for family in find_families() if family.kind == kind)
        return next(alike, f"the board {name}")


def family_of(board: Board) -> BoardFamily:
    """Return the family of an opened board.

    Raises:
        BoardNotFoundError: the board's name begins with no known family.
    """
    return find_family(board.name)


@cache
def _load(name: str) -> BoardFamily:
    return load_entry(GROUP, name, BoardFamily, BoardError)


def _names() -> list[str]:
    """Return the names of all families, this package's among them."""
    names = entry_names(GROUP)
    if OWN not in names:
        raise BoardError(
            "the installed metadata of speckflex lists no boards, so it is missing or older than"
            " the code: install speckflex again, in a source tree with pip install -e ."
        )
    return names
