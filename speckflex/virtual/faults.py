"""Faults on demand: what can go wrong with a board, at a stated rate and from a seed."""

from __future__ import annotations

from dataclasses import dataclass, fields

from speckflex.errors import BoardError

__all__ = ["ConfigurationError", "Faults"]


class ConfigurationError(BoardError, RuntimeError):
    """A configuration was refused; a RuntimeError too, as samna raises."""


@dataclass(frozen=True)
class Faults:
    """What goes wrong on a virtual devkit.

    Args:
        unplug_after: how many input events are served before the device is unplugged;
            None for never.
        delay: seconds of real time by which every answer is late.
        drop: share of the outgoing events that are lost, 0..1.
        duplicate: share of the outgoing events that arrive twice, 0..1.
        refuse_configuration: how many times a valid configuration is refused.
        stuck_core: the core of the chip that takes events and never spikes; None for none.
        seed: of the choice which events are dropped and doubled.

    Raises:
        BoardError: a share is not in 0..1 or a number is negative.
    """

    unplug_after: int | None = None
    delay: float = 0.0
    drop: float = 0.0
    duplicate: float = 0.0
    refuse_configuration: int = 0
    stuck_core: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if value is not None and value < 0:
                raise BoardError(f"fault {item.name} is {value}: give 0 or more, or leave it out")
        for name in ("drop", "duplicate"):
            if getattr(self, name) > 1:
                raise BoardError(f"fault {name} is {getattr(self, name)}: give a share of 0..1")
