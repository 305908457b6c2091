"""A stand-in for samna over the software twin: devices, graphs, configurations, specksim.

A script written for samna or for sinabs' backend runs on it unchanged:

    import speckflex.virtual
    speckflex.virtual.install(["Speck2eDevKit"])      # once, before sinabs' backend is imported
    import samna                                      # now the stand-in
    network.to("speck2edevkit:0")                     # sinabs finds the devkit

Code inside speckflex leaves the name `samna` to the vendor's binary:

    samna = virtual.stand_in()                        # the same modules, not in sys.modules
    info = virtual.attach("Speck2eDevKit", speed=math.inf, faults=Faults(drop=0.1))
    handle = samna.device.open_device(info)           # get_model(), get_stop_watch(), ...
    handle.losses, handle.unplugged                   # known for the stand-in, not for a chip
    virtual.detach(info)                              # closes it, too

All devices are on one bus per process, whether `install` or `attach` made them.

The room, from samna's surface down to the twin; each module imports only from those below it:

    modules         the module tree `samna`; its window (samna.ui), which shows nothing
    bus             samna.device: devices that are attached and open
    devkit          the handle of an open device, its model, switches and power monitor
    fpga            the queue of input events, served by the stop watch, and the output
    requests        events that read and write memories
    chip            the applied configuration
    runners         the twin runs it, or core after core where events circulate
    readout         the readout layer
    validation      whether the chip takes a configuration
    decode          a configuration back to a Program
    specksim        samna.specksim: layers in floating point
    filters         samna.graph: the filters
    graph           samna.graph: nodes, buffers at both ends, graphs
    configuration   samna.speck2e.configuration: a table of fields for each record
    events          samna.speck2e.event: a table of fields for each event
    clock           board time, stop watch, slow clock
    records         the kinds of fields, assignment, comparison, JSON
    options         speed and faults of a devkit

Arguments and assignments are taken and refused as pybind11 does it, with which samna is bound to
Python. Defaults, ranges and side effects are those of samna 0.48.5's reference.

The stand-in differs from a chip, or chooses where no source says what a chip does, in this:

- Time: an input event leaves when the stop watch reaches its timestamp, and at once if that is
  in the past. A stopped watch holds back what is later than its counter, and all behind it. An
  output event carries the watch's time of the input event that caused it, since the twin
  computes in no time. `speed` makes board time run faster than real time. At infinite speed
  events take no time, the slow clock ticks only up to the latest event, and a tick at the time
  of an event comes before the event.
- Neurons change only with events, and with the leak at ticks of the slow clock (the internal
  one counts injected DvsEvents). The readout layer uses the external clock only. The filter of
  sensor events is the twin's; a new configuration empties its memory. The sensor sees the events
  of `handle.sense(events)`.
- Cores that feed each other in a circle are served spike by spike, the oldest first, and an
  event that never comes to rest is given up after `MAX_CIRCULATING` spikes.
- What no source says about a devkit is named in `Unverified`, and about a chip in `TwinSettings`.
- Registers keep what is written and have no effect; other raw memories are refused. Filters that
  run C++ or reach out of the process are refused.
- Power figures are constants. JSON texts are speckflex's own, and so are the messages of
  validation.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from speckflex.errors import BoardError
from speckflex.virtual._bus import DEVICE_CHIPS, Bus, DeviceInfo
from speckflex.virtual._configuration import ConfigurationError
from speckflex.virtual._devkit import Devkit, Losses
from speckflex.virtual._modules import build_samna, build_samnagui
from speckflex.virtual._options import DevkitOptions, Faults, Unverified

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
    "Unverified",
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
    unverified: Unverified | None = None,
    twin: TwinSettings | None = None,
) -> ModuleType:
    """Give the stand-in the names `samna` and `samnagui`, with these devices attached.

    A second call closes and detaches every device and attaches the new ones.

    Args:
        devices: samna's names of device types, such as "Speck2eDevKit"; a name may be repeated.
        speed: board seconds per real second; with `math.inf` events take no time.
        faults: what goes wrong on each of them.
        unverified: choices for what no source says about a devkit.
        twin: the twin's choices for facts about the chip that no source states.

    Raises:
        BoardError: the vendor's samna is imported already, or the speed is not positive.
        BoardNotFoundError: there is no such type of device.
    """
    register()
    _bus.clear()
    for name in devices:
        attach(name, speed=speed, faults=faults, unverified=unverified, twin=twin)
    return _samna


def register() -> ModuleType:
    """Give the stand-in the names `samna` and `samnagui`; devices stay as they are.

    Raises:
        BoardError: the vendor's samna is imported already.
    """
    present = sys.modules.get("samna")
    if present is not None and not is_stand_in(present):
        raise BoardError(
            "samna is imported already and is not speckflex's stand-in: call"
            " speckflex.virtual.install before anything imports samna, in a new process"
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
    unverified: Unverified | None = None,
    twin: TwinSettings | None = None,
) -> DeviceInfo:
    """Plug in one more virtual devkit.

    Args:
        device_type_name: samna's name of the type, such as "Speck2fModuleDevKit".
        speed: board seconds per real second.
        faults: what goes wrong on it.
        unverified: choices for what no source says about a devkit.
        twin: the twin's choices for facts about the chip that no source states.

    Raises:
        BoardNotFoundError: there is no such type of device.
        BoardError: the speed is not positive.
    """
    options = DevkitOptions(
        speed=speed,
        faults=faults or Faults(),
        unverified=unverified or Unverified(),
        twin=twin,
    )
    return _bus.attach(device_type_name, options)


def detach(info: DeviceInfo) -> None:
    """Close a virtual devkit, if it is open, and unplug it."""
    _bus.detach(info)


def stand_in() -> ModuleType:
    """Return the stand-in's modules without giving them the name `samna`."""
    return _samna


def is_stand_in(samna: ModuleType) -> bool:
    """Return whether a module is the stand-in and not the vendor's samna."""
    return samna is _samna


def _tree(module: ModuleType) -> Iterator[ModuleType]:
    """Return a module and all modules below it."""
    yield module
    for child in vars(module).values():
        if type(child) is type(sys) and child.__name__.startswith(f"{module.__name__}."):
            yield from _tree(child)
