"""What a user may decide where the chip differs from the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from speckflex.program.event_filter import EventFilter

__all__ = ["ConversionOptions", "ConvertArguments"]


@dataclass(frozen=True)
class ConversionOptions:
    """What to do where the chip differs from the network.

    Args:
        allow_bias: convert a torch bias to the core's bias, added per tick of the slow clock.
        mend_min_v_mem: set a missing lower bound to minus the threshold.
        keep_state: start from the potentials that the layers hold now.
        event_filter: put the chip's noise filter before the first layer; torch has no such layer.
            Boards need a slow clock then.
    """

    allow_bias: bool = False
    mend_min_v_mem: bool = True
    keep_state: bool = False
    event_filter: EventFilter | None = None


class ConvertArguments(TypedDict, total=False):
    """What `read_model` hands on to `convert`, with types that a type checker knows."""

    options: ConversionOptions | None
    cores: Mapping[int | str, int] | None
