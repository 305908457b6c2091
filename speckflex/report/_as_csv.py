"""Layers and samples of a report as comma-separated values."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from speckflex._support.text import cell
from speckflex.report._as_json import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from speckflex.report.record import Report

__all__ = ["render_csv", "render_samples_csv"]

# The last column, the same in each row, so that a file tells the run that it belongs to.
RUN = "run"
SAMPLE_COLUMNS = ("sample", "label", "torch", "twin", "chip")


def render_csv(report: Report) -> str:
    """Return one line per layer; an empty field where a figure is not known."""
    columns = [column for section in report.sections for column in section.columns]
    return _table(report, columns, (plain(layer) for layer in report.layers))


def render_samples_csv(report: Report) -> str:
    """Return one line per sample; an empty field where a figure is not known."""
    roles = list(report.role_names)
    columns = [
        *SAMPLE_COLUMNS,
        *(f"margin_{role}" for role in roles),
        "spike_difference",
        "stopped",
    ]
    margins = (
        {f"margin_{role}": sample.margins.get(role) for role in roles}
        for sample in report.samples_alone.per_sample
    )
    rows = zip(map(plain, report.samples_alone.per_sample), margins, strict=True)
    return _table(report, columns, ({**sample, **margin} for sample, margin in rows))


def _table(report: Report, columns: list[str], rows: Iterable[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, [*columns, RUN], extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_cells({**row, RUN: report.run_id}) for row in rows)
    return text.getvalue()


def _cells(line: Mapping[str, Any]) -> dict[str, object]:
    return {column: cell(value) for column, value in line.items()}
