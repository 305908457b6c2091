"""The layers of a report as comma-separated values."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from speckflex.report._as_json import plain

if TYPE_CHECKING:
    from speckflex.report.record import Report

__all__ = ["render_csv"]


def render_csv(report: Report) -> str:
    """Return one line per layer; an empty field where a figure is not known."""
    columns = [column for section in report.sections for column in section.columns]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(plain(layer) for layer in report.layers)
    return text.getvalue()
