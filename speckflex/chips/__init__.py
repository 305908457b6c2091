"""The chips, each a record of numbers with their sources, found by name.

Another package adds a chip by an entry point of the group `speckflex.chips` that names its record:

    [project.entry-points."speckflex.chips"]
    mychip = "mypackage.chips:MYCHIP"
"""

from __future__ import annotations

from functools import cache

from speckflex._support.plugins import entry_names, load_entry
from speckflex.chips.chip import Chip
from speckflex.chips.speck import SPECK2E, SPECKS, UNBOUNDED
from speckflex.errors import ConversionError

__all__ = ["CHIPS", "DEFAULT_CHIP", "Chip", "chip_names", "chips", "find_chip"]

GROUP = "speckflex.chips"

# The chips of this package, one a row; those of other packages come by entry point.
CHIPS = {chip.name: chip for chip in (*SPECKS, UNBOUNDED)}
DEFAULT_CHIP = SPECK2E.name


def chip_names() -> tuple[str, ...]:
    """Return the names of all known chips, this package's first."""
    return (*CHIPS, *(name for name in entry_names(GROUP) if name not in CHIPS))


def chips() -> tuple[Chip, ...]:
    """Return all known chips, in the order of `chip_names`.

    Raises:
        ConversionError: a package that adds a chip is broken.
    """
    return tuple(map(find_chip, chip_names()))


def find_chip(name: str) -> Chip:
    """Return the chip of a name.

    Raises:
        ConversionError: no chip has that name, or the package that adds it is broken.
    """
    chip = CHIPS.get(str(name)) or _added_chip(str(name))
    if chip is None:
        raise ConversionError(
            f"chip {name!r} is not known: choose one of {', '.join(chip_names())}"
        )
    return chip


@cache
def _added_chip(name: str) -> Chip | None:
    return load_entry(GROUP, name, Chip, ConversionError)
