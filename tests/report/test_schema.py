"""The JSON Schema of report.json: published as the code has it, and kept by every report."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from made_up import played, two_core_program
from report_schema import closed, validator

from speckflex.report import Report, build_report, render_json
from speckflex.report._as_json import plain
from speckflex.report._schema import render_schema, report_schema

PUBLISHED = Path(__file__).resolve().parents[2] / "docs" / "report.schema.json"


@pytest.fixture
def report(rng: np.random.Generator) -> Report:
    program = two_core_program()
    return build_report(program, {kind: played(program, rng, kind) for kind in ("torch", "twin")})


def test_the_published_schema_is_that_of_the_code():
    assert PUBLISHED.read_text(encoding="utf-8") == render_schema(), "run make schema"


def test_the_schema_is_one_of_draft_2020_12():
    jsonschema.Draft202012Validator.check_schema(report_schema(Report))


def properties(schema: Any) -> list[tuple[str, dict[str, Any]]]:
    """Return name and schema of every property, at any depth."""
    if not isinstance(schema, dict):
        return []
    own = list(schema.get("properties", {}).items())
    return own + [found for inner in schema.values() for found in properties(inner)]


def test_every_field_is_described():
    found = properties(report_schema(Report))
    assert len(found) > 100
    assert [name for name, schema in found if not schema["description"].endswith((".", ";"))] == []


def test_a_report_that_breaks_its_schema_does_not_pass_a_test(report: Report):
    broken: Any = "four"
    with pytest.raises(jsonschema.ValidationError, match="'four' is not of type 'integer'"):
        render_json(replace(report, samples=broken))


def test_a_field_without_a_place_in_the_schema_is_refused(report: Report):
    facts = {**plain(report), "weather": "fine"}
    with pytest.raises(jsonschema.ValidationError, match="weather"):
        validator().validate(facts)
    jsonschema.validate(facts, report_schema(Report))  # others may add what they like


@pytest.mark.parametrize("name", ["accuracy", "layers", "provenance", "verdict"])
def test_a_field_that_is_missing_is_refused(report: Report, name: str):
    facts = plain(report)
    del facts[name]
    with pytest.raises(jsonschema.ValidationError, match=f"'{name}' is a required property"):
        validator().validate(facts)


def test_what_a_comparison_does_not_know_may_be_missing(rng: np.random.Generator):
    recordings = {kind: played(two_core_program(), rng, kind) for kind in ("torch", "twin")}
    facts = plain(build_report(None, recordings))
    assert "model" not in facts
    assert "input_shape" not in facts["program"]
    assert "weights" not in facts["layers"][0]
    jsonschema.validate(facts, closed(report_schema(Report)))
