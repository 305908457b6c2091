"""A stand-in for samna over the software twin: devices, graphs, configurations, specksim.

A script written for samna or for sinabs' backend runs on it unchanged:

    import speckflex.virtual
    speckflex.virtual.install(["Speck2eDevKit"])      # once, before sinabs' backend is imported
    import samna                                      # the stand-in from here on
    network.to("speck2edevkit:0")                     # sinabs finds the devkit

For code inside speckflex, which must not take the name `samna` away from the vendor's binary:

    samna = virtual.stand_in()                        # the same modules, registered nowhere
    info = virtual.attach("Speck2eDevKit", speed=math.inf, faults=Faults(drop=0.1))
    handle = samna.device.open_device(info)           # get_model(), get_stop_watch(), ...
    handle.losses, handle.unplugged                   # what the stand-in knows and a chip doesn't
    virtual.detach(info)                              # closes it, too

All devices hang on one bus per process, whichever way they were attached. What differs from a
chip, or where nobody knows what a chip does:

- Time: an input event leaves when the stop watch reaches its timestamp, at once when that is
  past or the watch stands. An output event carries the watch's time of the input event that
  caused it, since the twin computes in no time. `speed` makes board time run faster than real
  time; at infinity, events take no time, the slow clock ticks only up to the latest event, and
  ticks at the time of an event come before it.
- Neurons change with events alone, and with the leak at ticks of the slow clock (the internal
  one counts injected DvsEvents); the readout layer knows the external clock alone. The filter of
  sensor events is the twin's; a new configuration empties its memory. The sensor sees what
  `handle.sense(events)` shows it.
- Cores that feed each other in a circle are refused. The order of a kernel's weights in memory
  is a guess (`requests.weight_at`); events for registers and raw memories are left out.
- Power figures are constants. JSON texts and sentences are speckflex's own, not samna's.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from speckflex.errors import BoardError
from speckflex.virtual.bus import DEVICE_CHIPS, Bus, DeviceInfo
from speckflex.virtual.devkit import Devkit, DevkitOptions, Losses
from speckflex.virtual.faults import ConfigurationError, Faults
from speckflex.virtual.modules import build_samna, build_samnagui

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

    from speckflex.twin.settings import TwinSettings

__all__ = [
    "DEVICE_CHIPS",
    "ConfigurationError",
    "DeviceInfo",
    "Devkit",
    "DevkitOptions",
    "Faults",
    "Losses",
    "attach",
    "detach",
    "install",
    "is_stand_in",
    "register",
    "stand_in",
]

_bus = Bus()
_samna = build_samna(_bus)


def install(
    devices: Sequence[str] = (),
    *,
    speed: float = 1.0,
    faults: Faults | None = None,
    settings: TwinSettings | None = None,
) -> ModuleType:
    """Give the stand-in the names `samna` and `samnagui`, with these devices attached.

    Called again, it closes and detaches every device and attaches the new ones.

    Args:
        devices: samna's names of device types, such as "Speck2eDevKit"; one may stand twice.
        speed: board seconds per real second; `math.inf` where events are to take no time.
        faults: what goes wrong on each of them.
        settings: the twin's choices where nobody knows what the chip does.

    Raises:
        BoardError: the vendor's samna was imported already, or the speed is not positive.
        BoardNotFoundError: there is no such type of device.
    """
    register()
    _bus.clear()
    for name in devices:
        attach(name, speed=speed, faults=faults, settings=settings)
    return _samna


def register() -> ModuleType:
    """Give the stand-in the names `samna` and `samnagui`; devices stay as they are.

    Raises:
        BoardError: the vendor's samna was imported already.
    """
    present = sys.modules.get("samna")
    if present is not None and not is_stand_in(present):
        raise BoardError(
            "samna is imported already, and not as speckflex's stand-in: call"
            " speckflex.virtual.install first, in a fresh process"
        )
    for module in _tree(_samna):
        sys.modules[module.__name__] = module
    sys.modules.setdefault("samnagui", build_samnagui())
    return _samna


def attach(
    device_type_name: str,
    *,
    speed: float = 1.0,
    faults: Faults | None = None,
    settings: TwinSettings | None = None,
) -> DeviceInfo:
    """Plug in one virtual devkit, beside those that are there.

    Args:
        device_type_name: samna's name of the type, such as "Speck2fModuleDevKit".
        speed: board seconds per real second.
        faults: what goes wrong on it.
        settings: the twin's choices where nobody knows what the chip does.

    Raises:
        BoardNotFoundError: there is no such type of device.
        BoardError: the speed is not positive.
    """
    options = DevkitOptions(speed=speed, faults=faults or Faults(), settings=settings)
    return _bus.attach(device_type_name, options)


def detach(info: DeviceInfo) -> None:
    """Close a virtual devkit, if it is open, and unplug it."""
    _bus.detach(info)


def stand_in() -> ModuleType:
    """Return the stand-in's modules without giving them the name `samna`."""
    return _samna


def is_stand_in(samna: ModuleType) -> bool:
    """Return whether a module is the stand-in, not the vendor's samna."""
    return samna is _samna


def _tree(module: ModuleType) -> Iterator[ModuleType]:
    """Return a module and all modules below it."""
    yield module
    for child in vars(module).values():
        if type(child) is type(sys) and child.__name__.startswith(f"{module.__name__}."):
            yield from _tree(child)
