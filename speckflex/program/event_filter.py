"""The chip's noise filter between its input stage and the first cores, as a program states it."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Literal, get_args

from speckflex.chips.formats import FILTER_WINDOWS, MAX_FILTER_SIZE
from speckflex.errors import ConversionError

__all__ = ["EventFilter", "FilterMode"]

FilterMode = Literal["noise", "noise and hot pixels", "low pass"]


@dataclass(frozen=True)
class EventFilter:
    """The filter behind the input stage (DS 3.2.3.5); it ignores the polarity of events.

    It counts ticks of the slow clock: a board must have one, and the board sets its rate.

    Args:
        mode: "noise" passes an event if one of its neighbours, or its own pixel, had one
            within `window` ticks; "noise and hot pixels" does not count its own pixel;
            "low pass" drops an event if its own pixel had one within `window` ticks. What
            the chip's hot-pixel filter does beyond this is not documented.
        size: (y, x), how far a neighbour may be in the map that leaves the input stage, 0 to 7;
            always (0, 0) in mode "low pass".
        window: ticks of the slow clock, 1 to 65535.

    Raises:
        ConversionError: a value is not known or out of its range.
    """

    mode: FilterMode = "noise"
    size: tuple[int, int] = (1, 1)
    window: int = 1

    def __post_init__(self) -> None:
        if self.mode not in get_args(FilterMode):
            raise ConversionError(
                f"the event filter: mode {self.mode!r} is not known: choose one of"
                f" {', '.join(get_args(FilterMode))}"
            )
        if not (_whole(self.window) and self.window in FILTER_WINDOWS):
            raise ConversionError(
                f"the event filter: window {self.window!r} is out of range: give"
                f" {FILTER_WINDOWS.start} to {FILTER_WINDOWS.stop - 1} ticks of the slow clock"
            )
        if not (_is_pair(self.size) and 0 <= min(self.size) <= max(self.size) <= MAX_FILTER_SIZE):
            raise ConversionError(
                f"the event filter: size {self.size!r} is out of range: give (y, x), each of 0 to"
                f" {MAX_FILTER_SIZE} pixels"
            )
        # the chip has 0 in a low pass; other values would be a second way to write the same filter
        y, x = (0, 0) if self.mode == "low pass" else self.size
        object.__setattr__(self, "size", (int(y), int(x)))
        object.__setattr__(self, "window", int(self.window))


def _is_pair(value: object) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2 and all(map(_whole, value))


def _whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
