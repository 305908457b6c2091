"""The settings of this package's boards with their types, so that a type checker knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from pathlib import Path

    from speckflex.boards.chip.settings import WantedPath, WantedReset
    from speckflex.boards.software import Device
    from speckflex.twin.settings import TwinSettings
    from speckflex.virtual import Faults, Unverified

__all__ = ["BoardOptions", "ChipOptions", "TwinName", "TwinOptions", "VirtualOptions"]

TwinName = Literal["twin", "twin:cuda"]


class TwinOptions(TypedDict, total=False):
    """What `open_board("twin")` takes; see `speckflex.boards.software.open_twin`."""

    threads: int | None
    settings: TwinSettings | None
    slow_clock: float | None
    device: Device
    order: str | None
    probe: str | Path | None


class ChipOptions(TypedDict, total=False):
    """What a chip takes; see `speckflex.boards.chip.settings.ChipSettings`."""

    silence: float
    deadline: float
    verify_neurons: int | None
    check_cores: bool
    input_path: WantedPath
    slow_clock: float | None
    reset: WantedReset
    gap: int
    chunk: int
    power: float | None
    readout_layer: bool
    readout_threshold: int
    open_deadline: float
    probe: str | Path | None


class VirtualOptions(ChipOptions, total=False):
    """What `open_board("virtual:speck2e")` takes; see `speckflex.boards.virtual.open_virtual`."""

    speed: float | None
    faults: Faults | None
    unverified: Unverified | None
    twin: TwinSettings | None
    order: str | None


class BoardOptions(VirtualOptions, total=False):
    """What any board of this package takes; the board itself refuses those of another family."""

    threads: int | None
    settings: TwinSettings | None
    device: Device
