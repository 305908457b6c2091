"""Layers and samples of a report as comma-separated values."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from speckflex._support.text import cell
from speckflex.report._as_json import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from speckflex.report.record import Report

__all__ = ["render_csv", "render_samples_csv"]

SAMPLE_COLUMNS = ("sample", "label", "torch", "twin", "chip")


def render_csv(report: Report) -> str:
    """Return one line per layer; an empty field where a figure is not known."""
    columns = [column for section in report.sections for column in section.columns]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_cells(plain(layer)) for layer in report.layers)
    return text.getvalue()


def render_samples_csv(report: Report) -> str:
    """Return one line per sample; an empty field where a figure is not known."""
    roles = list(report.role_names)
    columns = [
        *SAMPLE_COLUMNS,
        *(f"margin_{role}" for role in roles),
        "spike_difference",
        "stopped",
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for sample in report.samples_alone.per_sample:
        margins = {f"margin_{role}": sample.margins.get(role) for role in roles}
        writer.writerow(_cells({**plain(sample), **margins}))
    return text.getvalue()


def _cells(line: Mapping[str, Any]) -> dict[str, object]:
    return {column: cell(value) for column, value in line.items()}
