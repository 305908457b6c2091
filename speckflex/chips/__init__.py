"""The chips, each a record of numbers with their sources, found by name.

Another package adds a chip by an entry point of the group `speckflex.chips` that names its record:

    [project.entry-points."speckflex.chips"]
    mychip = "mypackage.chips:MYCHIP"
"""

from __future__ import annotations

from functools import cache

from speckflex._support.plugins import entry_names, find_each, load_entry
from speckflex.chips.chip import Chip
from speckflex.chips.speck import SPECK2E, SPECKS, UNBOUNDED
from speckflex.errors import ConversionError

__all__ = ["CHIPS", "DEFAULT_CHIP", "Chip", "all_chips", "chip_names", "find_chip"]

GROUP = "speckflex.chips"

# The chips of this package, one a row; those of other packages come by entry point.
CHIPS = {chip.name: chip for chip in (*SPECKS, UNBOUNDED)}
DEFAULT_CHIP = SPECK2E.name


def chip_names() -> tuple[str, ...]:
    """Return the names of all known chips, this package's first."""
    return (*CHIPS, *(name for name in entry_names(GROUP) if name not in CHIPS))


def all_chips() -> tuple[Chip, ...]:
    """Return all known chips in the order of `chip_names`; log a warning for each broken one."""
    return find_each(chip_names(), find_chip)


def find_chip(name: str) -> Chip:
    """Return the chip of a name.

    Raises:
        ConversionError: no chip has that name, or the package that adds it is broken.
    """
    try:
        return CHIPS.get(str(name)) or _added_chip(str(name))
    except LookupError:
        raise ConversionError(
            f"chip {name!r} is not known: choose one of {', '.join(chip_names())}"
        ) from None


@cache
def _added_chip(name: str) -> Chip:
    return load_entry(GROUP, name, Chip, ConversionError)
