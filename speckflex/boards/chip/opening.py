"""The families of the chips: one for each chip, opened through the vendor's samna."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from speckflex.boards.chip.attached import attached_devices, find_device, vendor_samna
from speckflex.boards.chip.settings import ChipSettings
from speckflex.boards.family import BoardFamily, BoardName
from speckflex.boards.probe_file import ProbeFile
from speckflex.chips.speck import SPECK2E, SPECK2F
from speckflex.errors import BoardNotFoundError

if TYPE_CHECKING:
    from pathlib import Path

    from speckflex.boards.chip._board import ChipBoard
    from speckflex.chips import Chip

__all__ = ["CHIP_SETTINGS", "SPECK2E_BOARDS", "SPECK2F_BOARDS", "chip_family", "open_chip"]

CHIP_SETTINGS = tuple(item.name for item in fields(ChipSettings))


def chip_family(chip: Chip) -> BoardFamily:
    """Return the family of the devkits that carry a chip, as samna lists them."""
    return BoardFamily(
        name=chip.name,
        kind="chip",
        label=f"{chip.label}, hardware",
        called="the chip",
        open=partial(open_chip, chip),
        settings=CHIP_SETTINGS,
        chip_at=lambda _address: chip.name,
        is_chip=True,
        is_devkit=True,
        needs_samna=True,
        one_by_one=True,
    )


def open_chip(
    chip: Chip, address: str = "", *, probe: str | Path | None = None, **settings: Any
) -> ChipBoard:
    """Open an attached chip.

    Args:
        chip: the kind of chip.
        address: its index among the attached ones of its kind, or its serial number; "" for the
            first.
        probe: file of `speckflex probe` on this chip, for the twin that is compared with it.
        settings: those of `ChipSettings`, by name.

    Raises:
        BoardNotFoundError: the vendor's samna is not installed, or no such chip is attached.
        BoardError: it can't be opened, or a setting is out of range.
        FileFormatError: the probe file can't be read.
    """
    chosen = ChipSettings(**settings)
    if probe is not None:
        chosen = replace(chosen, probe=ProbeFile.load(probe).label)
    name = BoardName(chip.name, address or "0")
    try:
        device = find_device(name, attached_devices())
    except BoardNotFoundError as error:
        prefix = "" if str(error).startswith("board ") else f"board {name}: "
        raise BoardNotFoundError(f"{prefix}{error}") from error
    from speckflex.boards.chip._board import ChipBoard

    return ChipBoard(vendor_samna(), device, name=str(name), settings=chosen)


SPECK2E_BOARDS = chip_family(SPECK2E)
SPECK2F_BOARDS = chip_family(SPECK2F)
