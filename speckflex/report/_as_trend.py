"""A trend as text, Markdown, JSON and a page."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from speckflex.report._as_json import plain
from speckflex.report._as_markdown import escape_markdown, show_as_markdown
from speckflex.report._as_text import show_as_text
from speckflex.report._blocks import Block, Drawing, Heading, Table, Terms, Text
from speckflex.report.charts._svg import disc, label, line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from speckflex.report.charts._svg import Canvas
    from speckflex.report.trend import Figure, Trend

__all__ = ["render_trend", "trend_chart"]

MARKS = {"worse": "worse", "better": "better", "same": "no change", "not judged": ""}


def _tables(trend: Trend) -> list[Block]:
    """Return the runs, and the figures of each."""
    numbers = [str(number) for number in range(1, len(trend.runs) + 1)]
    runs = [
        [number, run.name, run.about, "-" if run.samples is None else str(run.samples), run.started]
        for number, run in zip(numbers, trend.runs, strict=True)
    ]
    figures = [
        [one.name, *map(one.spelled, one.values), MARKS[one.judgement]] for one in trend.figures
    ]
    headings = ["figure", *numbers, "last against first"]
    return [
        Table("The runs", ["run", "file", "what", "samples", "started"], runs),
        Table("The figures of each run", headings, figures),
    ]


def _text(trend: Trend) -> str:
    """Return verdict and tables."""
    return "\n\n".join([trend.verdict, *map(show_as_text, _tables(trend))])


def _markdown(trend: Trend) -> str:
    """Return heading, verdict and tables for a comment on a pull request."""
    state = "became worse" if trend.regressions else "no regression"
    parts = [f"### speckflex: {state}", escape_markdown(trend.verdict)]
    return "\n\n".join([*parts, *map(show_as_markdown, _tables(trend))]) + "\n"


def _json(trend: Trend) -> str:
    """Return runs, figures, judgements, `regressions` and `passed`."""
    facts = {
        **plain(trend),
        "regressions": list(trend.regressions),
        "passed": not trend.regressions,
        "verdict": trend.verdict,
    }
    return json.dumps(facts, indent=2, allow_nan=False, ensure_ascii=False)


def _html(trend: Trend) -> str:
    """Return a page: what became worse, a line for each figure that moves, and the tables."""
    from speckflex.report._as_html import render_page

    runs, figures = _tables(trend)
    blocks: list[Block] = [Text(trend.summary)]
    if trend.regressions:
        worse = [one for one in trend.figures if one.judgement == "worse"]
        blocks.append(Terms([(one.name, one.change) for one in worse]))
    moving = [one for one in trend.figures if len({v for v in one.values if v is not None}) > 1]
    if moving:
        words = (
            "The figures that changed, from the first run at the left to the last at the right,"
            " each from its least value to its greatest. The number is the last."
        )
        drawn = Drawing("The figures over the runs", partial(trend_chart, moving))
        blocks += [Heading("Over the runs"), Text(words), drawn]
    return render_page("Runs over time", [*blocks, Heading("All figures"), figures, runs])


def trend_chart(figures: Sequence[Figure], canvas: Canvas) -> Markup:
    """Return one line for each figure, with a point for each run and the last value beside it."""
    canvas = replace(canvas, left=8, right=96, row=62, middle=42)
    marks = []
    for row, one in enumerate(figures):
        base = canvas.row * row + canvas.middle
        marks.append(canvas.name(canvas.row * row, one.name))
        places = _places(one, canvas, base)
        marks += [line(*a, *b, "axis") for a, b in pairwise(places)]
        kind = "worse" if one.judgement == "worse" else "torch"
        marks += [disc(*place, 4.5, f"mark {kind}") for place in places]
        marks.append(label(canvas.across(1) + 14, base + 5, one.spelled(one.values[-1])))
    words = "; ".join(f"{one.name} {', '.join(map(one.spelled, one.values))}" for one in figures)
    return canvas.drawing(canvas.row * len(figures), f"Figures over the runs: {words}", marks)


def _places(figure: Figure, canvas: Canvas, base: float) -> list[tuple[float, float]]:
    """Return where the points of the runs stand, those that have the figure."""
    known = [value for value in figure.values if value is not None]
    low, span = min(known), max(known) - min(known)
    return [
        (canvas.across(run / max(1, len(figure.values) - 1)), base + 12 - 24 * (value - low) / span)
        for run, value in enumerate(figure.values)
        if value is not None
    ]


def render_trend(trend: Trend, form: str) -> str:
    """Return a trend as "text", "md", "json" or "html"."""
    return RENDERERS[form](trend)


RENDERERS = {"text": _text, "md": _markdown, "json": _json, "html": _html}
