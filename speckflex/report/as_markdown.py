"""A report as Markdown for a comment on a pull request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from speckflex.report.tables import (
    accuracy_table,
    ensemble_table,
    layer_table,
    load_table,
    pair_table,
)
from speckflex.report.verdict import report_warnings

if TYPE_CHECKING:
    from speckflex.report.record import Report

__all__ = ["render_markdown"]

# What Markdown or HTML inside it would read as markup.
SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~@!&])")


def render_markdown(report: Report) -> str:
    """Return heading, verdict, tables and provenance; user's words are escaped."""
    title = "speckflex: " + _escape(report.run.model if report.run else report.program.sha256[:12])
    blocks = [f"### {title}{' (synthetic data)' if report.synthetic else ''}"]
    blocks.append(_escape(report.verdict))
    blocks += [_escape(sentence) for sentence in report_warnings(report)]
    blocks += [
        _table(headings, rows)
        for headings, rows in (
            accuracy_table(report),
            layer_table(report),
            load_table(report),
            ensemble_table(report),
        )
        if rows
    ]
    if len(report.comparisons) > 1:
        blocks.append(_table(*pair_table(report)))
    blocks += [
        f"First divergence: {_escape(comparison.first_divergence)}"
        for comparison in report.comparisons[:1]
        if comparison.first_divergence
    ]
    blocks.append(_provenance(report))
    return "\n\n".join(blocks) + "\n"


def _table(headings: list[str], rows: list[list[str]]) -> str:
    alignment = ["---", *["--:"] * (len(headings) - 1)]
    escaped = [[_escape(cell) for cell in line] for line in (headings, *rows)]
    lines = [escaped[0], alignment, *escaped[1:]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _provenance(report: Report) -> str:
    facts = [f"program `{report.program.sha256[:12]}`", f"board {_escape(report.board)}"]
    facts.append(f"{report.samples} samples, {report.lost_events} events lost")
    return " · ".join(facts)


def _escape(text: str) -> str:
    return SPECIAL.sub(r"\\\1", " ".join(str(text).split()))
