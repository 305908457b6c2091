"""Synaptic operations a second over time, as a still picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speckflex.report.charts.svg import LABEL, across, box, drawing, label, line, shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from speckflex.report.record import WorkOverTime

__all__ = ["work_chart"]

STRIP = 64
# The limit is drawn where the work comes within this share of it; else it would flatten all.
NEAR = 0.2


def work_chart(lines: Sequence[WorkOverTime], limit: float) -> Markup:
    """Return one strip a layer, with the limit of a core where the work comes near it.

    Args:
        lines: per layer its name, window starts and width (ms), and operations a second.
        limit: of a core, operations a second.
    """
    end = max(float(row.start_ms[-1] + row.window_ms) for row in lines if len(row.rate))
    marks = [
        mark
        for position, row in enumerate(lines)
        for mark in _strip(row, STRIP * position, end, limit)
    ]
    height = STRIP * len(lines) + 12
    marks.append(label(across(0), height - 2, "0 ms", kind="small"))
    marks.append(label(across(1), height - 2, f"{end:.0f} ms", anchor="end", kind="small"))
    words = "; ".join(f"{row.layer} at most {_millions(row)}" for row in lines)
    return drawing(height, f"Synaptic operations a second over time: {words}", marks)


def _strip(row: WorkOverTime, top: float, end: float, limit: float) -> list[Markup]:
    base, room = top + STRIP - 8, STRIP - 16
    peak = float(max(row.rate, default=0.0))
    near = peak > NEAR * limit
    scale = room / max(peak, limit if near else 0.0, 1.0)
    marks = [
        label(LABEL - 10, base - 22, shortened(f"layer {row.layer}"), anchor="end"),
        label(LABEL - 10, base - 5, _millions(row), anchor="end", kind="small"),
        line(across(0), base, across(1), base, "axis"),
    ]
    width = across(row.window_ms / end) - across(0)
    for start, rate in zip(row.start_ms, row.rate, strict=True):
        kind = "bar over" if rate > limit else "bar"
        height = float(rate) * scale
        marks.append(box(across(float(start) / end), base - height, width, height, kind))
    if near:
        at = base - limit * scale
        marks.append(line(across(0), at, across(1), at, "limit"))
    return marks


def _millions(row: WorkOverTime) -> str:
    return f"{max(row.rate, default=0.0) / 1e6:.3g} million/s"
