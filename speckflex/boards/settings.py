"""The twin's settings: what nobody knows about the chip, by name."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal, get_args, get_type_hints

from speckflex.errors import BoardError

__all__ = ["DestinationOrder", "EdgeSpikes", "OutputOrder", "Overflow", "TwinSettings"]

OutputOrder = Literal["yxc", "xyc", "cyx", "cxy", "ycx", "xcy"]
DestinationOrder = Literal["listed", "reversed"]
Overflow = Literal["saturate", "wrap"]
EdgeSpikes = Literal["drop", "keep"]


@dataclass(frozen=True)
class TwinSettings:
    """Choices where no source says what the chip does; the defaults are conventions.

    Args:
        output_order: in which order the neurons that fire on one event send their spikes;
            "yxc" is row by row, then column by column, the channel running fastest.
        destination_order: which destination of a spike is served first.
        overflow: what a potential does beyond 32767: stay there, or wrap to -32768.
        edge_spikes: what becomes of spikes beyond the last whole pooling window:
            dropped, as torch does, or sent on as if the map were larger.
    """

    output_order: OutputOrder = "yxc"
    destination_order: DestinationOrder = "listed"
    overflow: Overflow = "saturate"
    edge_spikes: EdgeSpikes = "drop"

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for name, value in asdict(self).items():
            choices = get_args(hints[name])
            if value not in choices:
                raise BoardError(
                    f"twin setting {name} is {value!r}: choose one of {', '.join(choices)}"
                )

    def named(self) -> dict[str, str]:
        """Return every setting as text, for a recording's provenance."""
        return {name: str(value) for name, value in asdict(self).items()}
