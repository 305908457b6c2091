"""Reports against their JSON Schema, in which every field has to be named."""

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from speckflex.report._schema import report_schema
from speckflex.report.record import Report


def closed(schema: Any) -> Any:
    """Return a schema whose objects have no field but those that it names."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(item) for key, item in schema.items()}
    return {**found, "additionalProperties": False} if "required" in schema else found


@cache
def validator(kind: type = Report) -> Draft202012Validator:
    """Return what refuses an object that is no JSON of that kind of report."""
    return Draft202012Validator(closed(report_schema(kind)))
