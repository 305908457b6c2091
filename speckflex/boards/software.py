"""The families of the boards that need no chip: the software twin, and recorded sessions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from speckflex.boards.family import BoardFamily
from speckflex.errors import BoardError, BoardNotFoundError

if TYPE_CHECKING:
    from speckflex.boards._replay import Replay
    from speckflex.boards.twin import Twin
    from speckflex.twin.settings import TwinSettings

__all__ = [
    "REPLAY",
    "TWIN",
    "Device",
    "check_device_name",
    "open_replay",
    "open_twin",
    "with_order",
]

Device = Literal["cpu", "cuda"]


def open_twin(
    address: str = "",
    *,
    threads: int | None = None,
    settings: TwinSettings | None = None,
    slow_clock: float | None = None,
    device: Device = "cpu",
    **choices: Any,
) -> Twin:
    """Open the software twin.

    Args:
        address: the device, in place of `device`.
        threads: how many samples run at the same time; None for one per processor.
        settings: choices about what nobody knows of the chip.
        slow_clock: Hz of an external slow clock; None to take it from the settings.
        device: "cpu" or "cuda".
        choices: `order`, the order of output, such as "-y-x+c", in place of that of the settings;
            `probe`, a file of `speckflex probe`, whose findings take the place of the settings that
            are at their defaults.

    Raises:
        BoardError: a setting is out of range, or the slow clock or the order is set twice.
        BoardNotFoundError: the device is not known, or is missing.
        FileFormatError: the probe file can't be read.
    """
    from speckflex.boards.probe_file import ProbeFile
    from speckflex.boards.twin import Twin
    from speckflex.twin.settings import TwinSettings

    settings = with_order(settings, choices.get("order"))
    probe = choices.get("probe")
    found = None if probe is None else ProbeFile.load(probe)
    if found is not None:
        settings = found.applied_to(settings)
    if slow_clock is not None:
        if settings.has_slow_clock:
            raise BoardError(
                f"the twin's slow clock is set twice, by slow_clock={slow_clock!r} and by its"
                " settings: set it once"
            )
        period = TwinSettings.ticking(slow_clock).slow_clock_period
        settings = replace(settings, slow_clock_period=period)
    chosen: Any = address or device  # checked by the twin
    notes = {} if found is None else {"probe": found.label}
    return Twin(threads=threads, settings=settings, device=chosen, notes=notes)


def with_order(settings: TwinSettings | None, order: str | None) -> TwinSettings:
    """Return settings of the twin with an order of output; None to leave it.

    Raises:
        BoardError: there is no such order, or the settings have another one.
    """
    from speckflex.twin.settings import TwinSettings

    usual = TwinSettings()
    settings = settings or usual
    if order is None:
        return settings
    changed = replace(settings, output_order=order)
    if settings.output_order not in (usual.output_order, changed.output_order):
        raise BoardError(
            f"the twin's order of output is set twice, by order={order!r} and by its settings"
            f" ({settings.output_order}): set it once"
        )
    return changed


def check_device_name(name: str) -> None:
    """Check the name of a device of the twin.

    Raises:
        BoardNotFoundError: the twin has no such device.
    """
    known = get_args(Device)
    if name not in known:
        raise BoardNotFoundError(
            f"the twin's device {name!r} is not known: choose one of {', '.join(known)}"
        )


def _twin_chip(address: str) -> None:
    """Check an address of the twin, which runs programs for any chip."""
    if address:
        check_device_name(address)


def open_replay(address: str) -> Replay:
    """Open a recorded session.

    Args:
        address: path of the recording file.

    Raises:
        BoardNotFoundError: there is no such file, or it is no recording.
    """
    from speckflex.boards._replay import Replay

    return Replay(address)


def _recorded_chip(address: str) -> str | None:
    """Return the chip of the program that was recorded; None for a recording that does not say."""
    from speckflex.errors import FileFormatError
    from speckflex.recordings.recording import Provenance

    try:
        return Provenance.load(address).settings.get("chip")
    except FileFormatError as error:
        raise BoardNotFoundError(f"board replay:{address}: {error}") from error


TWIN = BoardFamily(
    name="twin",
    kind="twin",
    label="software twin, no hardware",
    called="the twin",
    open=open_twin,
    settings=("threads", "settings", "slow_clock", "device", "order", "probe"),
    chip_at=_twin_chip,
    names=(("twin", "software twin: runs a program's integers event by event"),),
    is_twin=True,
    repeats=True,
)

REPLAY = BoardFamily(
    name="replay",
    kind="replay",
    label="recording of an earlier session, no hardware",
    called="the replayed session",
    open=open_replay,
    chip_at=_recorded_chip,
    names=(("replay:FILE", "a recording that was saved, played back"),),
    repeats=True,
)
