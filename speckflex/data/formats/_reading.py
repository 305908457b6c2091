"""What a file may leave open: the names of its fields, its unit of time, and its sensor's size."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict

from speckflex.errors import EventsError
from speckflex.events.streams import FIELDS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TIME_UNITS", "Reading", "ReadingOptions"]

# How many of each unit are a second.
TIME_UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


class ReadingOptions(TypedDict, total=False):
    """The arguments of a `Reading`, each with a default."""

    fields: Mapping[str, str]
    time_unit: str | None
    sensor: tuple[int, int] | None


@dataclass(frozen=True)
class Reading:
    """How to read what a file of recordings does not state.

    Args:
        fields: the file's name, or the number of the column, for each of t, x, y, p that has a
            name which speckflex does not know.
        time_unit: of the times in the file: s, ms, us or ns; None for that of the format.
        sensor: (y, x) pixels; None for what the file states, else the extent of its events.

    Raises:
        EventsError: a field or the unit has another name, or the sensor has no pixel.
    """

    fields: Mapping[str, str] = field(default_factory=dict)
    time_unit: str | None = None
    sensor: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        unknown = [name for name in self.fields if name not in FIELDS]
        if unknown:
            raise EventsError(
                f"fields has {unknown[0]!r}, an event has t, x, y and p: write such as"
                " t=ts,p=polarity"
            )
        if self.time_unit is not None and self.time_unit not in TIME_UNITS:
            raise EventsError(
                f"time unit {self.time_unit!r} is not known: use one of {', '.join(TIME_UNITS)}"
            )
        if self.sensor is not None and min(self.sensor) < 1:
            raise EventsError(f"a sensor of {self.sensor} (y, x) pixels has none: give its size")

    @property
    def names(self) -> bool:
        """Whether it says what only files with named fields leave open."""
        return bool(self.fields) or self.time_unit is not None
