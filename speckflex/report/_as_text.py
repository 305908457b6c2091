"""A report as plain text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speckflex._support.columns import side_by_side
from speckflex.report._blocks import Table, Text
from speckflex.report._verdict import warnings_of

if TYPE_CHECKING:
    from speckflex.report._blocks import Block
    from speckflex.report.record import Report

__all__ = ["render_text", "show_as_text"]


def render_text(report: Report) -> str:
    """Return the verdict, the warnings and what each section shows in texts."""
    parts = [report.verdict, "\n".join(warnings_of(report))]
    parts += [
        show_as_text(block) for section in report.sections for block in section.blocks(report)
    ]
    if report.synthetic:
        parts.append("synthetic: the samples are simulated, no camera recorded them")
    return "\n\n".join(part for part in parts if part)


def show_as_text(block: Block) -> str:
    """Return a block; one that only the page can show is left out."""
    if isinstance(block, Text):
        return block.words
    if isinstance(block, Table):
        return f"{block.title}\n{_aligned(block)}".lstrip("\n")
    return ""


def _aligned(table: Table) -> str:
    """Return columns padded to the same width; the first to the left, figures to the right.

    Columns that don't fit a terminal follow below, with the first column again.
    """
    rows = [table.headings, *table.rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.headings))]
    return "\n\n".join(
        "\n".join(
            "  ".join(
                row[column].rjust(widths[column]) if column else row[0].ljust(widths[0])
                for column in group
            ).rstrip()
            for row in rows
        )
        for group in side_by_side(widths)
    )
