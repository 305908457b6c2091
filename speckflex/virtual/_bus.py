"""samna.device: which virtual devkits are attached, and which are open."""

from __future__ import annotations

import atexit
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from speckflex.chips.speck import SPECKS
from speckflex.errors import BoardNotFoundError
from speckflex.virtual._devkit import Devkit

if TYPE_CHECKING:
    from speckflex.virtual._options import DevkitOptions

__all__ = ["DEVICE_CHIPS", "Bus", "DeviceInfo"]

# samna's device_type_name -> the chip on it
DEVICE_CHIPS = {device: chip.name for chip in SPECKS for device in chip.samna.devices}
FIRST_ADDRESS = 9
BUS_NUMBER = 2


@dataclass(frozen=True)
class DeviceInfo:
    """samna's description of an attached device."""

    serial_number: str = ""
    usb_bus_number: int = BUS_NUMBER
    usb_device_address: int = FIRST_ADDRESS
    logic_version: int = 0
    device_type_name: str = ""

    def __repr__(self) -> str:
        return (
            f"device::DeviceInfo(serial_number={self.serial_number},"
            f" usb_bus_number={self.usb_bus_number},"
            f" usb_device_address={self.usb_device_address},"
            f" logic_version={self.logic_version}, device_type_name={self.device_type_name})"
        )


class Bus:
    """Keeps what is attached; opening an open device again returns the same handle."""

    def __init__(self) -> None:
        self._attached: dict[DeviceInfo, DevkitOptions] = {}
        self._open: dict[DeviceInfo, Devkit] = {}
        self._addresses = FIRST_ADDRESS
        atexit.register(self.clear)

    def attach(self, device_type_name: str, options: DevkitOptions) -> DeviceInfo:
        """Plug a devkit in and return its description.

        Raises:
            BoardNotFoundError: there is no such type of device.
        """
        if device_type_name not in DEVICE_CHIPS:
            raise BoardNotFoundError(
                f"virtual device {device_type_name!r} is not known: choose one of"
                f" {', '.join(DEVICE_CHIPS)}"
            )
        address, self._addresses = self._addresses, self._addresses + 1
        info = DeviceInfo(
            serial_number=f"virtual{address}",
            usb_device_address=address,
            device_type_name=device_type_name,
        )
        self._attached[info] = options
        return info

    def detach(self, info: DeviceInfo) -> None:
        """Close a device, if it is open, and take it off the bus."""
        self._attached.pop(info, None)
        devkit = self._open.pop(info, None)
        if devkit is not None:
            devkit.close()

    def clear(self) -> None:
        """Detach every device."""
        for info in list(self._attached):
            self.detach(info)

    def get_all_devices(self) -> list[DeviceInfo]:
        """Return the attached devices."""
        for info, devkit in list(self._open.items()):
            if devkit.unplugged:
                self.detach(info)
        return list(self._attached)

    def get_unopened_devices(self) -> list[DeviceInfo]:
        """Return the attached devices that are not open."""
        return [info for info in self.get_all_devices() if info not in self._open]

    def get_opened_devices(self) -> list[DeviceInfo]:
        """Return the attached devices that are open."""
        return [info for info in self.get_all_devices() if info in self._open]

    def open_device(self, device: DeviceInfo | str, default_config: Any = None) -> Devkit:
        """Open a device by its description, by "NAME:INDEX", or the next free one by "NAME".

        Raises:
            RuntimeError: no such device is attached.
            TypeError: `device` is neither a description nor a name.
        """
        if not isinstance(device, (DeviceInfo, str)):
            raise TypeError(f"open_device: {device!r} given: give a DeviceInfo or a name")
        info = self._find(device) if isinstance(device, str) else device
        if info is None or info not in self.get_all_devices():
            known = ", ".join(item.device_type_name for item in self._attached) or "none"
            raise RuntimeError(f"device {device} is not attached (attached: {known})")
        if info not in self._open:
            chip = DEVICE_CHIPS[info.device_type_name]
            self._open[info] = Devkit(chip, self._attached[info], info.serial_number)
        return self._open[info]

    def close_device(self, handle: Devkit) -> None:
        """Close an opened device; closing it again does nothing."""
        for info, devkit in list(self._open.items()):
            if devkit is handle:
                del self._open[info]
        handle.close()

    def _find(self, name: str) -> DeviceInfo | None:
        kind, _, index = name.partition(":")
        alike = [info for info in self.get_all_devices() if info.device_type_name == kind]
        if not index:
            return next((info for info in alike if info not in self._open), None)
        return alike[int(index)] if index.isdigit() and int(index) < len(alike) else None
