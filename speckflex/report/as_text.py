"""A report as plain text for a terminal."""

from __future__ import annotations

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

__all__ = ["render_text"]


def render_text(report: Report) -> str:
    """Return the verdict, warnings, the accuracies, the layers and the first divergence."""
    blocks = [report.verdict]
    warnings = report_warnings(report)
    if warnings:
        blocks.append("\n".join(warnings))
    tables = [accuracy_table(report), layer_table(report)]
    if len(report.comparisons) > 1:
        tables.append(pair_table(report))
    blocks += [_aligned(headings, rows) for headings, rows in tables if rows]
    blocks += [
        f"{title}\n{_aligned(headings, rows)}"
        for title, (headings, rows) in (
            ("load of the cores", load_table(report)),
            ("changed plays of the same samples", ensemble_table(report)),
        )
        if rows
    ]
    blocks += [
        f"first divergence: {comparison.first_divergence}"
        for comparison in report.comparisons[:1]
        if comparison.first_divergence
    ]
    if report.synthetic:
        blocks.append("synthetic: the samples were made up, no camera recorded them")
    return "\n\n".join(blocks)


def _aligned(headings: list[str], rows: list[list[str]]) -> str:
    """Return columns padded to the same width; the first to the left, figures to the right."""
    table = [headings, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(headings))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    )
