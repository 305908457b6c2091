"""How the dataclasses of a report stand for JSON objects."""

from __future__ import annotations

import collections.abc
from dataclasses import MISSING, dataclass, fields
from functools import cache
from math import isfinite
from types import NoneType
from typing import Any, get_args, get_type_hints

from speckflex.program.records import Shape

__all__ = ["DRAWN", "Entry", "Spread", "entries", "finite"]

# Names that modules of other rooms import for their annotations alone.
NAMES = {
    "Mapping": collections.abc.Mapping,
    "Sequence": collections.abc.Sequence,
    "Shape": Shape,
}

# Metadata of a dataclass field that pictures are drawn from: it does not stand in JSON.
DRAWN = {"drawn": True}


class Spread:
    """A part whose fields stand in the JSON object of the part that holds it.

    Where the part is None, the object has none of its fields.
    """


@dataclass(frozen=True)
class Entry:
    """One field of a part that stands in JSON.

    Args:
        name: the name of the field, also in JSON.
        type: its annotation, evaluated.
        has_default: whether the part can be made without it.
    """

    name: str
    type: Any
    has_default: bool = False

    @property
    def spread(self) -> type | None:
        """The part whose fields stand in place of this one; None for an ordinary field."""
        options = get_args(self.type) or (self.type,)
        return next(
            (kind for kind in options if isinstance(kind, type) and issubclass(kind, Spread)), None
        )

    @property
    def optional(self) -> bool:
        """Whether the field may be None."""
        return NoneType in get_args(self.type)


@cache
def entries(kind: type) -> tuple[Entry, ...]:
    """Return the fields of a dataclass that stand in JSON, in the order of the class."""
    types = get_type_hints(kind, localns=NAMES)
    return tuple(
        Entry(
            one.name,
            types[one.name],
            one.default is not MISSING or one.default_factory is not MISSING,
        )
        for one in fields(kind)
        if "drawn" not in one.metadata
    )


def finite(value: float | None) -> float | None:
    """Return a number; None where it is not finite, since JSON has no such numbers."""
    return value if value is not None and isfinite(value) else None
