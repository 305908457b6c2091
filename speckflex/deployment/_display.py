"""How a deployment looks in an interpreter and in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speckflex._support.html import html_of
from speckflex.report.spelling import percent

if TYPE_CHECKING:
    from speckflex.report.record import Report

__all__ = ["deployment_html", "deployment_line"]


def deployment_line(report: Report) -> str:
    """Return a deployment in one line."""
    return f"<Deployment on {report.board}, {report.samples} samples: {report.verdict}>"


def deployment_html(report: Report) -> str:
    """Return a deployment as its verdict and the steps from the trained network to the board."""
    rows = [
        (
            step.step,
            percent(step.accuracy),
            percent(step.spike_difference),
            step.spikes,
            step.samples,
        )
        for step in report.steps.ladder
    ]
    headings = ("step", "accuracy", "spike difference to the step before", "spikes", "samples")
    facts = (("verdict", report.verdict), ("missed", "; ".join(report.missed)))
    return html_of(f"Deployment on {report.board}", facts, headings, rows)
