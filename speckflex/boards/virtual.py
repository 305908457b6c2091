"""The family of virtual devkits: programs reach them as they reach a chip, through the stand-in."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from speckflex.boards.chip.attached import devices_of
from speckflex.boards.chip.opening import CHIP_SETTINGS
from speckflex.boards.chip.settings import ChipSettings
from speckflex.boards.family import BoardFamily
from speckflex.boards.software import with_order
from speckflex.chips import DEFAULT_CHIP
from speckflex.chips.speck import SPECKS
from speckflex.errors import BoardError, BoardNotFoundError

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from speckflex.boards.chip._board import ChipBoard
    from speckflex.boards.chip.attached import AttachedDevice
    from speckflex.boards.probe_file import ProbeFile
    from speckflex.chips import Chip
    from speckflex.twin.settings import TwinSettings
    from speckflex.virtual import Faults, Unverified

__all__ = ["VIRTUAL", "as_probed", "open_virtual", "plug_in"]

DEADLINE = 60.0  # s


def open_virtual(
    address: str,
    *,
    speed: float | None = None,
    faults: Faults | None = None,
    unverified: Unverified | None = None,
    twin: TwinSettings | None = None,
    probe: str | Path | None = None,
    **settings: Any,
) -> ChipBoard:
    """Plug in a virtual devkit and open it; closing the board unplugs it.

    Args:
        address: a chip such as "speck2e", or a type of devkit such as "Speck2fModuleDevKit"; faults
            may follow, as in "speck2e,drop=0.01,seed=3".
        speed: board seconds per real second; infinite if events take no time. The default is
            infinite, and 1 where power is measured, which takes time.
        faults: what goes wrong on it.
        unverified: choices for what no source says about a devkit.
        twin: choices of the twin behind it, about what nobody knows of the chip.
        probe: file of `speckflex probe`; what it found takes the place of those choices that are
            at their defaults.
        settings: those of `ChipSettings`, by name; the deadline is 60 s if none is given. And
            `order`, the twin's order of output, such as "-y-x+c".

    Raises:
        BoardNotFoundError: there is no such virtual board.
        BoardError: a setting is out of range, or the faults are given twice.
        FileFormatError: the probe file can't be read.
    """
    from speckflex.boards.chip._board import ChipBoard
    from speckflex.boards.probe_file import ProbeFile

    # the twin behind it computes while the board waits, and may be slower than a chip
    order = settings.pop("order", None)
    if order is not None:
        twin = with_order(twin, order)
    chosen = ChipSettings(**{"deadline": DEADLINE, **settings})
    if probe is not None:
        found = ProbeFile.load(probe)
        twin, unverified = as_probed(found, twin, unverified)
        chosen = replace(chosen, probe=found.label)
    if speed is None:
        speed = math.inf if chosen.power is None else 1.0
    behaviour = {"speed": speed, "faults": faults, "unverified": unverified, "twin": twin}
    with ExitStack() as stack:
        samna, device = plug_in(address, stack, **behaviour)
        kept = ExitStack()
        board = ChipBoard(
            samna,
            device,
            name=f"virtual:{address}",
            settings=chosen,
            speed=speed,
            released=kept.close,
        )
        kept.push(stack.pop_all())
    return board


def as_probed(
    found: ProbeFile, twin: TwinSettings | None, unverified: Unverified | None
) -> tuple[TwinSettings, Unverified]:
    """Return the choices of a virtual devkit with what experiments on a board have found.

    Raises:
        BoardError: an answer is no value of its choice.
    """
    from speckflex.twin.settings import TwinSettings
    from speckflex.virtual import Unverified

    return found.applied_to(twin or TwinSettings()), found.applied_to(unverified or Unverified())


def plug_in(address: str, stack: ExitStack, **behaviour: Any) -> tuple[ModuleType, AttachedDevice]:
    """Plug in a virtual devkit; return the stand-in for samna, and the devkit as it lists it.

    Args:
        address: as for `open_virtual`.
        stack: unplugs it when it is closed.
        behaviour: keyword arguments of `speckflex.virtual.attach`.

    Raises:
        BoardNotFoundError: there is no such virtual board.
        BoardError: a setting is out of range.
    """
    from speckflex import virtual

    devkit, named = _devkit_and_faults(address)
    if named is not None:
        if behaviour.get("faults") is not None:
            raise BoardError(
                f"board virtual:{address}: the faults are given in its name and as a setting: give"
                " them once"
            )
        behaviour["faults"] = named
    chip = _chip_at(devkit)
    device_type = devkit if devkit in chip.samna.devices else chip.samna.devkit
    info = virtual.attach(device_type, **behaviour)
    stack.callback(virtual.detach, info)
    samna = virtual.stand_in()
    return samna, next(item for item in devices_of(samna) if item.info == info)


def _devkit_and_faults(address: str) -> tuple[str, Faults | None]:
    """Return the devkit of an address, and the faults that it names.

    Raises:
        BoardError: the text behind the devkit names no faults.
    """
    from speckflex.virtual import Faults

    devkit, comma, text = address.partition(",")
    return devkit, Faults.parse(text) if comma else None


def _chip_name(address: str) -> str:
    return _chip_at(_devkit_and_faults(address)[0]).name


def _chip_at(devkit: str) -> Chip:
    for chip in SPECKS:
        if devkit in (chip.name, *chip.samna.devices):
            return chip
    known = ", ".join(f"virtual:{chip.name}" for chip in SPECKS)
    raise BoardNotFoundError(f"board virtual:{devkit} is not known: choose one of {known}")


VIRTUAL = BoardFamily(
    name="virtual",
    kind="virtual",
    label="virtual devkit over the software twin, no hardware",
    called="the virtual devkit",
    open=open_virtual,
    settings=("speed", "faults", "unverified", "twin", "order", *CHIP_SETTINGS),
    chip_at=_chip_name,
    names=(
        *(
            (f"virtual:{chip.name}", f"virtual {chip.label} devkit: the chip's path, over the twin")
            for chip in SPECKS
        ),
        (f"virtual:{DEFAULT_CHIP},drop=0.01", "with faults: here 1 % of its spikes are lost"),
    ),
    is_devkit=True,
    one_by_one=True,
)
