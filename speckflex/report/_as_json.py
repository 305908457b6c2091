"""A report as strict JSON, and back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import is_dataclass
from math import isfinite
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import numpy as np

from speckflex._support.text import printable
from speckflex.report._parts import entries

if TYPE_CHECKING:
    from speckflex.report.record import Report

__all__ = ["from_plain", "plain", "render_json"]

# A list of numbers that the encoder spread over lines; no string holds a raw line break.
NUMBER = r"(?:-?\d[\d.eE+-]*|null)"
SPREAD = re.compile(rf"\[\n\s+({NUMBER}(?:,\n\s+{NUMBER})*)\n\s+\]")


def render_json(report: Report) -> str:
    """Return the report as indented JSON, without what pictures are drawn from."""
    text = json.dumps(plain(report), indent=2, allow_nan=False, ensure_ascii=False)
    return SPREAD.sub(lambda found: f"[{' '.join(found[1].split())}]", text)


def plain(value: Any) -> Any:
    """Return a value in the types of strict JSON: a number that is not finite becomes None."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if is_dataclass(value) and not isinstance(value, type):
        return _plain_part(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def from_plain(kind: Any, value: Any) -> Any:
    """Return a value of the annotated type from its plain JSON types, the reverse of `plain`.

    A field that has a default may be missing: an earlier version had no such field. Texts keep
    their printable characters alone, since they come from a file.

    Raises:
        KeyError: another field is missing.
        TypeError, ValueError, AttributeError: a value is of another type.
    """
    options = [option for option in get_args(kind) if option is not NoneType]
    if NoneType in get_args(kind):
        # of several types, such as float and str, JSON itself tells which it is
        if len(options) > 1 and value is not None and type(value) not in {*options, int}:
            raise TypeError(f"{value!r:.40} in place of a number or a text")
        return value if value is None or len(options) > 1 else from_plain(options[0], value)
    if is_dataclass(kind) and isinstance(kind, type):
        return kind(**_read_part(kind, value))
    if get_origin(kind) is tuple:
        _check_type(list, value)
        kinds = options[:1] * len(value) if options[1:] == [...] else options
        return tuple(from_plain(one, item) for one, item in zip(kinds, value, strict=True))
    if get_origin(kind) in {Mapping, dict}:
        return {printable(key): from_plain(options[1], item) for key, item in value.items()}
    if get_origin(kind) is Literal and value not in options:
        raise ValueError(f"{value!r:.40} in place of {options[0]!r}")
    if kind in {bool, int, float, str}:
        _check_type(kind, value)
    return printable(value) if isinstance(value, str) else value


def _check_type(kind: Any, value: Any) -> None:
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise TypeError(f"{value!r:.40} in place of a value of type {kind.__name__}")


def _plain_part(part: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for entry in entries(type(part)):
        value = getattr(part, entry.name)
        if entry.spread is None:
            found[entry.name] = plain(value)
        elif value is not None:
            found |= _plain_part(value)
    return found


def _read_part(kind: type, value: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for entry in entries(kind):
        if entry.spread is None and entry.has_default and entry.name not in value:
            continue
        if entry.spread is None:
            found[entry.name] = from_plain(entry.type, value[entry.name])
        elif entry.optional and not any(one.name in value for one in entries(entry.spread)):
            found[entry.name] = None
        else:
            found[entry.name] = entry.spread(**_read_part(entry.spread, value))
    return found
