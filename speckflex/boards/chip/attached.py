"""Which chips are attached, as the vendor's samna lists them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from speckflex._support.text import one_line
from speckflex.boards.family import BoardName
from speckflex.chips import all_chips
from speckflex.errors import BoardError, BoardNotFoundError
from speckflex.samna_access import find_samna, load_samna

if TYPE_CHECKING:
    from types import ModuleType

__all__ = [
    "AttachedDevice",
    "attached_devices",
    "devices_of",
    "find_device",
    "vendor_samna",
]


@dataclass(frozen=True)
class AttachedDevice:
    """A devkit on the bus.

    Args:
        name: what `open_board` takes, such as "speck2e:0"; the address is the device's place
            among those of its chip.
        chip: the name of its chip, such as "speck2e".
        device_type: samna's name of the type, such as "Speck2eDevKit".
        serial: its serial number, "" where it has none.
        usb: bus and address, such as "2:9".
        info: samna's own record of it.
    """

    name: BoardName
    chip: str
    device_type: str
    serial: str
    usb: str
    info: Any

    def __str__(self) -> str:
        return f"{self.name} ({self.device_type} {self.serial})"

    def named(self) -> dict[str, str]:
        """Return the facts that a user sees, by name."""
        return {
            "name": str(self.name),
            "chip": self.chip,
            "device": self.device_type,
            "serial": self.serial,
            "usb": self.usb,
        }


def vendor_samna() -> ModuleType:
    """Return the vendor's samna, never the stand-in.

    Raises:
        BoardNotFoundError: it is not installed, or the stand-in took its name in this process.
        BoardError: it is installed and too old or broken.
    """
    installed = find_samna()
    if installed.kind != "real":
        what = {
            "missing": "is not installed",
            "stub": "is not installed, only the package index's stub of that name is",
        }[installed.kind]
        raise BoardNotFoundError(
            f"the vendor's samna {what}: get it from SynSense to reach a chip ('speckflex doctor'"
            " tells more), or use the twin"
        )
    samna = load_samna()
    if getattr(samna, "is_speckflex_virtual", False):
        raise BoardNotFoundError(
            "speckflex's stand-in has taken the name samna in this process, so that no chip can be"
            " reached: start again without speckflex.virtual.install"
        )
    return samna


def attached_devices() -> list[AttachedDevice]:
    """Return the Speck devkits on this machine's bus, open or not.

    Raises:
        BoardNotFoundError: samna is not installed.
        BoardError: samna failed to look.
    """
    return devices_of(vendor_samna())


def devices_of(samna: ModuleType) -> list[AttachedDevice]:
    """Return the Speck devkits that a samna sees, in the order of its list.

    Raises:
        BoardError: samna failed to look.
    """
    try:
        infos = samna.device.get_all_devices()
    except RuntimeError as error:
        raise BoardError(f"samna can't list the devices ({one_line(error)})") from error
    chip_on = {device: chip.name for chip in all_chips() for device in chip.samna.devices}
    found: list[AttachedDevice] = []
    for info in infos:
        chip = chip_on.get(info.device_type_name)
        if chip is not None:
            index = sum(device.chip == chip for device in found)
            found.append(
                AttachedDevice(
                    name=BoardName(chip, str(index)),
                    chip=chip,
                    device_type=info.device_type_name,
                    serial=str(info.serial_number),
                    usb=f"{info.usb_bus_number}:{info.usb_device_address}",
                    info=info,
                )
            )
    return found


def find_device(name: BoardName, devices: list[AttachedDevice]) -> AttachedDevice:
    """Return the device of a name, whose address is an index, a serial number, or "" for any.

    Raises:
        BoardNotFoundError: it is not attached; the message says what is.
    """
    for device in devices:
        if device.chip == name.family and name.address in {"", device.name.address, device.serial}:
            return device
    present = ", ".join(map(str, devices)) or "none"
    raise BoardNotFoundError(
        f"board {name} is not attached (attached: {present}): plug it in, or name one that is"
    )
