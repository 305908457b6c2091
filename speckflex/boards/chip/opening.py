"""Opening chips and virtual devkits by name."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from speckflex.boards.chip.attached import (
    attached_devices,
    devices_of,
    find_device,
    vendor_samna,
)
from speckflex.boards.chip.board import Chip
from speckflex.boards.chip.settings import ChipSettings
from speckflex.chips.speck import SPECK2E, SPECK2F
from speckflex.errors import BoardNotFoundError

if TYPE_CHECKING:
    from speckflex.twin.settings import TwinSettings
    from speckflex.virtual import Faults

__all__ = ["open_chip", "open_virtual"]

# The devkit that a virtual board of each name is.
VIRTUAL_DEVICES = {chip.name: chip.samna.devkit for chip in (SPECK2E, SPECK2F)}
VIRTUAL_DEADLINE = 60.0  # s


def open_chip(name: str, **settings: Any) -> Chip:
    """Open an attached chip, "speck2e:INDEX" or "speck2f:SERIAL".

    Args:
        name: of the board; "speck2e" alone is the first of its kind.
        settings: those of `ChipSettings`, by name.

    Raises:
        BoardNotFoundError: the vendor's samna is not installed, or no such chip is attached.
        BoardError: it can't be opened, or a setting is none.
    """
    chosen = ChipSettings.of(settings)
    try:
        device = find_device(name, attached_devices())
    except BoardNotFoundError as error:
        prefix = "" if str(error).startswith("board ") else f"board {name}: "
        raise BoardNotFoundError(f"{prefix}{error}") from error
    return Chip(vendor_samna(), device, name=name, settings=chosen)


def open_virtual(
    chip: str,
    *,
    speed: float = math.inf,
    faults: Faults | None = None,
    twin: TwinSettings | None = None,
    **settings: Any,
) -> Chip:
    """Plug in a virtual devkit and open it; closing the board unplugs it.

    Args:
        chip: "speck2e" or "speck2f", or a type of devkit such as "Speck2fModuleDevKit".
        speed: board seconds per real second; infinite where events are to take no time.
        faults: what goes wrong on it.
        twin: choices of the twin behind it where nobody knows what the chip does.
        settings: those of `ChipSettings`, by name; the deadline is 60 s if none is given.

    Raises:
        BoardNotFoundError: there is no such virtual board.
        BoardError: a setting is none or out of range.
    """
    from speckflex import virtual

    # the twin behind it computes while the board waits, and may be slower than a chip
    chosen = ChipSettings.of({"deadline": VIRTUAL_DEADLINE, **settings})
    device_type = VIRTUAL_DEVICES.get(chip, chip)
    if device_type not in virtual.DEVICE_CHIPS:
        raise BoardNotFoundError(
            f"board virtual:{chip} is not known: choose virtual:speck2e or virtual:speck2f"
        )
    info = virtual.attach(device_type, speed=speed, faults=faults, twin=twin)
    try:
        samna = virtual.stand_in()
        device = next(item for item in devices_of(samna) if item.info == info)
        return Chip(
            samna,
            device,
            name=f"virtual:{chip}",
            settings=chosen,
            speed=speed,
            released=partial(virtual.detach, info),
        )
    except BaseException:
        virtual.detach(info)
        raise
