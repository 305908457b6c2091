"""The JSON Schema of report.json, made from the record and its docstrings."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import is_dataclass
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from speckflex.report._parts import entries
from speckflex.report.record import Report

__all__ = ["render_schema", "report_schema"]

DRAFT = "https://json-schema.org/draft/2020-12/schema"
JSON_TYPES = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    NoneType: "null",
}
# The name of an argument in a docstring's section "Args:", and all that is said of it.
ARGUMENT = re.compile(r"^    (\w+): (.*?)(?=^    \w+: |\Z)", re.MULTILINE | re.DOTALL)


def render_schema() -> str:
    """Return the schema of `report.json` as indented JSON."""
    return json.dumps(report_schema(Report), indent=2, ensure_ascii=False) + "\n"


def report_schema(kind: type) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a dataclass and of all that it holds.

    Descriptions, with units, are those of the docstrings. A field may be missing only where it
    stands for a part that may be None; other fields that are not known are null.
    """
    parts: dict[str, Any] = {}
    schema = {"$schema": DRAFT, "title": kind.__name__, **_object(kind, parts)}
    return {**schema, "$defs": dict(sorted(parts.items()))}


def _object(kind: type, parts: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of one part; those of the parts in it are added to `parts`."""
    said, described = _documentation(kind)
    properties: dict[str, Any] = {}
    required: list[str] = []
    for entry in entries(kind):
        if entry.spread is None:
            properties[entry.name] = {
                "description": described[entry.name],
                **_schema_of(entry.type, parts),
            }
            required.append(entry.name)
        else:
            spread = _object(entry.spread, parts)
            properties |= spread["properties"]
            required += () if entry.optional else spread["required"]
    return {
        "type": "object",
        "description": said,
        "properties": properties,
        "required": required,
    }


def _schema_of(kind: Any, parts: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the values of an annotated type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        if kind.__name__ not in parts:
            parts[kind.__name__] = {}
            parts[kind.__name__] = _object(kind, parts)
        return {"$ref": f"#/$defs/{kind.__name__}"}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Mapping, dict):
        return {"type": "object", "additionalProperties": _schema_of(arguments[1], parts)}
    if origin is tuple:
        return _array(arguments, parts)
    return _any_of(arguments or (kind,), parts)


def _any_of(kinds: tuple[Any, ...], parts: dict[str, Any]) -> dict[str, Any]:
    if all(kind in JSON_TYPES for kind in kinds):
        types = [JSON_TYPES[kind] for kind in kinds]
        return {"type": types if len(types) > 1 else types[0]}
    return {"anyOf": [_schema_of(kind, parts) for kind in kinds]}


def _array(kinds: tuple[Any, ...], parts: dict[str, Any]) -> dict[str, Any]:
    if kinds[1:] == (...,):
        return {"type": "array", "items": _schema_of(kinds[0], parts)}
    items = [_schema_of(kind, parts) for kind in kinds]
    return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}


def _documentation(kind: type) -> tuple[str, dict[str, str]]:
    """Return what the docstring of a dataclass says of it, and of each of its fields."""
    said, described = "", {}
    for base in reversed(kind.__mro__):
        said, _, arguments = inspect.cleandoc(base.__doc__ or "").partition("\n\nArgs:\n")
        found = ARGUMENT.findall(arguments)
        described |= {name: " ".join(words.split()) for name, words in found}
    return " ".join(said.split()), described
