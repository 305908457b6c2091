"""Accuracy and spike difference as still pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from speckflex.report.charts.svg import LABEL, across, box, disc, drawing, label, line, shortened
from speckflex.report.roles import role_name
from speckflex.report.verdict import percent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup

__all__ = ["accuracy_chart", "difference_chart"]

ROW = 30


def accuracy_chart(report: dict[str, Any]) -> Markup:
    """Return each recording's accuracy as a point with its 95 % interval."""
    known = {role: share for role, share in report["accuracy"].items() if share is not None}
    marks = []
    for row, (role, share) in enumerate(known.items()):
        y = ROW * row + ROW / 2
        low, high = report["accuracy_interval"][role]
        marks += [
            label(LABEL - 10, y + 5, shortened(role_name(role, report)), anchor="end"),
            line(across(0), y, across(1), y, "axis"),
            line(across(low), y, across(high), y, "interval"),
            disc(across(share), y, 6, f"mark {role if role in report['accuracy'] else ''}"),
        ]
    height = ROW * len(known) + 22
    marks += [
        label(across(tick), height - 4, f"{100 * tick:.0f} %", anchor="middle", kind="small")
        for tick in (0, 0.25, 0.5, 0.75, 1)
    ]
    words = "; ".join(
        f"{role_name(role, report)} {percent(share)}" for role, share in known.items()
    )
    return drawing(height, f"Accuracy with 95 % Wilson intervals: {words}", marks)


def difference_chart(layers: Sequence[Mapping[str, Any]]) -> Markup:
    """Return the spike difference of each layer as a bar, with the noise floor as a line."""
    known = [layer for layer in layers if layer["spike_difference"] is not None]
    floors = [layer["noise_floor"] or 0.0 for layer in known]
    top = max([*(layer["spike_difference"] for layer in known), *floors, 1e-9])
    marks = []
    for row, layer in enumerate(known):
        y = ROW * row + 4
        end = across(layer["spike_difference"] / top)
        marks += [
            label(LABEL - 10, y + 16, shortened(f"layer {layer['name']}"), anchor="end"),
            box(across(0), y, end - across(0), ROW - 8, "bar"),
            label(end + 6, y + 16, percent(layer["spike_difference"])),
        ]
        if layer["noise_floor"] is not None:
            at = across(layer["noise_floor"] / top)
            marks.append(line(at, y - 2, at, y + ROW - 6, "floor"))
    words = "; ".join(f"{layer['name']} {percent(layer['spike_difference'])}" for layer in known)
    return drawing(ROW * len(known) + 4, f"Spike difference of each layer: {words}", marks)
