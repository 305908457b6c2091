"""Sections: every rendering walks them, and a new one is one class and one field."""

# Annotations are evaluated here, as in the sections of the package.

import csv
import io
import json
from dataclasses import dataclass

import numpy as np
import pytest
from made_up import played, random_stream, two_core_program

from speckflex.report import (
    Report,
    build_report,
    render_csv,
    render_html,
    render_json,
    render_markdown,
    render_text,
)
from speckflex.report._as_json import from_plain
from speckflex.report._blocks import Block, Heading, Plot, Plots, Table, Text
from speckflex.report._schema import report_schema
from speckflex.report._section import Section
from speckflex.report.build import assemble
from speckflex.report.charts._plots import PlotData, Series, Tip
from speckflex.report.evidence import Evidence, gather_evidence
from speckflex.report.facts import Facts


def a_plot() -> PlotData:
    hours = np.array([1, 2])
    series = Series("lab", "lab", hours, np.array([20, 21]), hours)
    return PlotData("hour", "°C", (1, 1, 4), (series,), (Tip("hour", "x", "h"),))


@dataclass(frozen=True)
class Weather(Section):
    """The weather while the board played.

    Args:
        temperature: of the room, °C.
        sky: what was seen of it.
    """

    anchor = "weather"
    title = "Weather in the lab"
    columns = ("weight_error",)

    temperature: float
    sky: str | None

    @classmethod
    def collect(cls, evidence: Evidence) -> "Weather":
        """Return the same weather every day."""
        return cls(21.5 + len(evidence.comparisons), None)

    def blocks(self, facts: Facts) -> list[Block]:
        """Return one sentence and one table."""
        table = Table("Weather", ["place", "°C"], [["lab", str(self.temperature)]])
        return [Text(f"{facts.opening(facts.played)} was warm & dry."), table]

    def page(self, facts: Facts) -> list[Block]:
        """Return a plot too."""
        plot = Plot("Hours", "", "Temperature by hour", a_plot())
        return [*self.blocks(facts), Heading("By hour"), Plots("hours", [plot])]


@dataclass(frozen=True)
class Hidden(Section):
    """A section that has nothing to report.

    Args:
        nothing: never there.
    """

    anchor = "hidden"
    title = "Hidden"

    nothing: int

    @classmethod
    def collect(cls, evidence: Evidence) -> None:
        """Return nothing."""


@dataclass(frozen=True, kw_only=True)
class LongReport(Report):
    """A report with the weather."""

    weather: Weather
    hidden: Hidden | None = None


@pytest.fixture
def report(rng: np.random.Generator) -> LongReport:
    program = two_core_program()
    recordings = {role: played(program, rng, role) for role in ("torch", "twin")}
    inputs = [random_stream(rng, program.input.shape, 40) for _ in range(4)]
    return assemble(gather_evidence(program, recordings, input_events=inputs), LongReport)


def test_a_new_section_is_in_json_and_in_the_schema(report: LongReport):
    facts = json.loads(render_json(report))
    assert (facts["temperature"], facts["sky"]) == (22.5, None)
    assert "nothing" not in facts
    schema = report_schema(LongReport)
    assert schema["properties"]["temperature"] == {
        "description": "of the room, °C.",
        "type": "number",
    }
    assert schema["properties"]["sky"]["type"] == ["string", "null"]
    assert {"temperature", "sky"} <= set(schema["required"])
    assert "nothing" in schema["properties"]
    assert "nothing" not in schema["required"]
    assert from_plain(LongReport, facts) == report


def test_a_new_section_is_in_every_text(report: LongReport):
    text = render_text(report)
    assert "\n\nThe twin was warm & dry.\n\nplace    °C\nlab    22.5\n" in f"{text}\n"
    markdown = render_markdown(report)
    assert "\n\nThe twin was warm \\& dry.\n\n| place | °C |\n| --- | --: |\n" in markdown


def test_a_new_section_is_on_the_page_with_its_plot(report: LongReport):
    page = render_html(report)
    assert '<li><a href="#weather">Weather in the lab</a></li>' in page
    assert '<h2 id="weather">Weather in the lab</h2>' in page
    assert "<p>The twin was warm &amp; dry.</p>" in page
    assert '<div class="plot" id="hours-0" data-label="Temperature by hour">' in page
    assert page.index('id="provenance"') < page.index('id="weather"')
    assert 'id="hidden"' not in page


def test_a_new_section_adds_its_columns_to_the_table_of_layers(report: LongReport):
    rows = list(csv.DictReader(io.StringIO(render_csv(report))))
    assert list(rows[0])[-3:] == ["silent_neurons", "weight_error", "run"]


def test_sections_stand_in_the_same_order_everywhere(rng: np.random.Generator):
    program = two_core_program()
    recordings = {role: played(program, rng, role) for role in ("torch", "twin", "chip")}
    report = build_report(program, recordings)
    page, text = render_html(report), render_text(report)
    places = [page.index(f'id="{section.anchor}"') for section in report.sections]
    assert places == sorted(places)
    tables = [
        block.headings[0]
        for section in report.sections
        for block in section.blocks(report)
        if isinstance(block, Table)
    ]
    assert tables == ["step", "sample", "layer", "pair", "board", "layer"]
    at = -1
    for heading in tables:
        at = text.index(f"\n{heading} ", at + 1)  # fails where one stands before the last
