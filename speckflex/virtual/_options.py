"""How a virtual devkit behaves: its speed, its faults, and its twin's settings."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Literal, get_args, get_type_hints

from speckflex.chips.facts import fact
from speckflex.errors import BoardError

if TYPE_CHECKING:
    from speckflex.twin.settings import TwinSettings

__all__ = ["DevkitOptions", "Faults", "Unverified"]


@dataclass(frozen=True)
class Faults:
    """What goes wrong on a virtual devkit.

    Args:
        unplug_after: the device is unplugged after this many input events; None for never.
        delay: seconds of real time by which every answer is late.
        drop: share of the output events that are lost, 0..1.
        duplicate: share of the output events that arrive twice, 0..1.
        refuse_configuration: how many times a valid configuration is refused.
        stuck_core: the core of the chip that takes events and never spikes; None for none.
        seed: for the random choice of the events that are dropped and doubled.

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
            if value is not None and not 0 <= value < math.inf:
                raise BoardError(f"fault {item.name} is {value}: give 0 or more, or leave it out")
        for name in ("drop", "duplicate"):
            if getattr(self, name) > 1:
                raise BoardError(f"fault {name} is {getattr(self, name)}: give a share of 0..1")

    @classmethod
    def parse(cls, text: str) -> Faults:
        """Return the faults that a text such as "drop=0.01,seed=3" names.

        Raises:
            BoardError: a name is not known or given twice, or a value is no number of its kind.
        """
        kinds = {item.name: float if "float" in str(item.type) else int for item in fields(cls)}
        values: dict[str, float] = {}
        for part in text.split(","):
            name, _, value = (piece.strip() for piece in part.partition("="))
            if name not in kinds or name in values:
                problem = "is given twice" if name in values else "is not known"
                known = ", ".join(f"{kind}=N" for kind in kinds)
                raise BoardError(f"fault {name!r} {problem}: give each at most once: {known}")
            try:
                values[name] = kinds[name](value)
            except ValueError:
                what = "a number" if kinds[name] is float else "a whole number"
                raise BoardError(
                    f"fault {name} is {value!r}: write {what} behind it, such as {name}=1"
                ) from None
        return cls(**values)  # pyright: ignore[reportArgumentType] - each is of its field's kind


@dataclass(frozen=True)
class Unverified:
    """What no source says about a devkit; each default is an assumption.

    Args:
        model_reset: what `Model.reset()` sets the neurons to, or that it leaves them.
        reads_while_running: whether requests, which carry no timestamp, are answered while the
            stop watch runs; samna's page on the devkits can be read as that they are dropped.
        readout_bit_20: what bit 20 of the readout's value says in mode 3: that the maximum is above
            the threshold, as samna's reference says, or that the value is valid, as DS says.

    Raises:
        BoardError: a value is not one of the choices.
    """

    model_reset: Literal["initial values", "zero", "nothing"] = fact("model_reset")
    reads_while_running: Literal["answered", "dropped"] = fact("reads_while_running")
    readout_bit_20: Literal["maximum above threshold", "valid"] = fact("readout_bit_20")

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self)).items():
            if getattr(self, name) not in get_args(hint):
                raise BoardError(
                    f"unverified behaviour {name} is {getattr(self, name)!r}: choose one of"
                    f" {', '.join(get_args(hint))}"
                )


@dataclass(frozen=True)
class DevkitOptions:
    """How a virtual devkit behaves.

    Args:
        speed: board seconds per real second; at infinity, events take no time.
        faults: what goes wrong.
        unverified: choices for what no source says about a devkit.
        twin: the twin's choices for facts about the chip that no source states.

    Raises:
        BoardError: the speed is not positive, or the twin has a rate.
    """

    speed: float = 1.0
    faults: Faults = field(default_factory=Faults)
    unverified: Unverified = field(default_factory=Unverified)
    twin: TwinSettings | None = None

    def __post_init__(self) -> None:
        if not self.speed > 0:
            raise BoardError(
                f"the speed of a virtual devkit is {self.speed}: give a positive factor"
            )
        if self.twin is not None and self.twin.synops_per_second is not None:
            # each turn of the stand-in would begin with idle cores, and drop too little
            raise BoardError(
                f"the twin of a virtual devkit has synops_per_second {self.twin.synops_per_second},"
                " and cores of a devkit take no time: leave it out, or play on the board twin"
            )
