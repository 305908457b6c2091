"""Accuracy and spike difference as still pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speckflex.report.charts.svg import LABEL, across, box, disc, drawing, label, line, shortened
from speckflex.report.roles import role_name
from speckflex.report.verdict import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from speckflex.report.record import LayerFacts, Report

__all__ = ["accuracy_chart", "difference_chart"]

ROW = 30


def accuracy_chart(report: Report) -> Markup:
    """Return each recording's accuracy as a point with its 95 % interval."""
    known = report.accuracies.known
    marks = []
    for row, (role, share, (low, high)) in enumerate(known):
        y = ROW * row + ROW / 2
        marks += [
            label(LABEL - 10, y + 5, shortened(role_name(role, report)), anchor="end"),
            line(across(0), y, across(1), y, "axis"),
            line(across(low), y, across(high), y, "interval"),
            disc(across(share), y, 6, f"mark {role}"),
        ]
    height = ROW * len(known) + 22
    marks += [
        label(across(tick), height - 4, f"{100 * tick:.0f} %", anchor="middle", kind="small")
        for tick in (0, 0.25, 0.5, 0.75, 1)
    ]
    words = "; ".join(f"{role_name(role, report)} {percent(share)}" for role, share, _ in known)
    return drawing(height, f"Accuracy with 95 % Wilson intervals: {words}", marks)


def difference_chart(layers: Sequence[LayerFacts]) -> Markup:
    """Return the spike difference of each layer as a bar, with the noise floor as a line."""
    known = [
        (layer.name, layer.spike_difference, layer.noise_floor)
        for layer in layers
        if layer.spike_difference is not None
    ]
    top = max([1e-9, *(value for _, *both in known for value in both if value is not None)])
    marks = []
    for row, (name, difference, floor) in enumerate(known):
        y = ROW * row + 4
        end = across(difference / top)
        marks += [
            label(LABEL - 10, y + 16, shortened(f"layer {name}"), anchor="end"),
            box(across(0), y, end - across(0), ROW - 8, "bar"),
            label(end + 6, y + 16, percent(difference)),
        ]
        if floor is not None:
            at = across(floor / top)
            marks.append(line(at, y - 2, at, y + ROW - 6, "floor"))
    words = "; ".join(f"{name} {percent(difference)}" for name, difference, _ in known)
    return drawing(ROW * len(known) + 4, f"Spike difference of each layer: {words}", marks)
