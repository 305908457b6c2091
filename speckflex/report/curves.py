"""A page of curves over a level, one line for each network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from speckflex.report._as_html import render_page
from speckflex.report._blocks import Block, Drawing, Heading, Table, Text
from speckflex.report.charts._svg import Canvas, disc, label, line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from markupsafe import Markup

__all__ = ["CurvePanel", "CurvePoint", "NetworkCurve", "curve_chart", "render_curves"]

HEIGHT = 240
TICKS = 4
COLOURS = 4  # of page.css


@dataclass(frozen=True)
class CurvePoint:
    """What was measured at one level.

    Args:
        level: on the horizontal axis.
        mean: of the runs.
        lowest: of the runs.
        highest: of the runs.
    """

    level: float
    mean: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class NetworkCurve:
    """The points of one network, in ascending order of their levels.

    Args:
        name: of the network.
        points: at least one.
        joined: whether a line joins them.
    """

    name: str
    points: tuple[CurvePoint, ...]
    joined: bool = True


@dataclass(frozen=True)
class CurvePanel:
    """One measure of all networks.

    Args:
        title: what is measured, and where.
        level: what the horizontal axis shows.
        value: what the vertical axis shows.
        curves: one for each network.
        percent: whether values are shares, shown in percent; levels then stand at equal distances.
    """

    title: str
    level: str
    value: str
    curves: tuple[NetworkCurve, ...]
    percent: bool = True


def render_curves(title: str, words: Sequence[str], panels: Sequence[CurvePanel]) -> str:
    """Return a page that loads nothing: a drawing and a table for each panel.

    Args:
        title: of the page.
        words: paragraphs above the drawings.
        panels: what was measured.
    """
    blocks: list[Block] = [Text(part) for part in words]
    for panel in panels:
        headings = ["network", panel.level, panel.value, "lowest to highest"]
        rows = [
            [curve.name, f"{point.level:.4g}", _spelled(panel, point.mean), _range(panel, point)]
            for curve in panel.curves
            for point in curve.points
        ]
        blocks += [
            Heading(panel.title),
            Drawing(panel.title, partial(curve_chart, panel)),
            Table(f"{panel.title}: all figures", headings, rows),
        ]
    return render_page(title, blocks)


def curve_chart(panel: CurvePanel, canvas: Canvas) -> Markup:
    """Return the curves of a panel, each with the range of its runs and its name below."""
    canvas = replace(canvas, left=8)
    levels = sorted({point.level for curve in panel.curves for point in curve.points})
    ends = [end for one in panel.curves for p in one.points for end in (p.lowest, p.highest)]
    low, high = min(ends), max(ends)
    span = high - low or 1.0
    top, bottom = 12.0, HEIGHT - 40.0

    def across(level: float) -> float:
        if panel.percent:
            return canvas.across(levels.index(level) / max(1, len(levels) - 1))
        return canvas.across((level - levels[0]) / ((levels[-1] - levels[0]) or 1.0))

    def up(value: float) -> float:
        return bottom - (bottom - top) * (value - low) / span

    marks = _axes(panel, canvas, (low, low + span), up)
    marks += [
        label(across(x), bottom + 18, f"{x:.3g}", anchor=_anchor(x, levels), kind="small")
        for x in _ticks(panel, levels)
    ]
    for index, curve in enumerate(panel.curves):
        kind = f"other{index % COLOURS}"
        places = [(across(point.level), up(point.mean)) for point in curve.points]
        marks += [
            line(x, up(point.lowest), x, up(point.highest), f"curve {kind}")
            for (x, _), point in zip(places, curve.points, strict=True)
        ]
        if curve.joined:
            marks += [line(*one, *two, f"curve {kind}") for one, two in pairwise(places)]
        marks += [disc(x, y, 3, f"mark {kind}") for x, y in places]
        base = HEIGHT + 18.0 * index
        marks += [disc(canvas.left + 6, base - 4, 4, f"mark {kind}")]
        marks += [label(canvas.left + 16, base, curve.name, kind="small")]
    height = HEIGHT + 18.0 * len(panel.curves)
    return canvas.drawing(height, f"{panel.value} over {panel.level}: {_in_words(panel)}", marks)


def _ticks(panel: CurvePanel, levels: list[float]) -> list[float]:
    """Return what is written below the horizontal axis: levels, or places at equal distances."""
    if len(levels) <= 2 * TICKS:
        return levels
    if panel.percent:
        return levels[:: len(levels) // TICKS]
    width = levels[-1] - levels[0]
    return [levels[0] + width * tick / TICKS for tick in range(TICKS)] + levels[-1:]


def _axes(
    panel: CurvePanel, canvas: Canvas, ends: tuple[float, float], up: Callable[[float], float]
) -> list[Markup]:
    """Return the lines of a few values, the values, and what the horizontal axis shows."""
    marks = []
    for tick in range(TICKS + 1):
        value = ends[0] + (ends[1] - ends[0]) * tick / TICKS
        marks.append(line(canvas.left, up(value), canvas.across(1), up(value), "axis"))
        words = _spelled(panel, value)
        marks.append(label(canvas.across(1) + 6, up(value) + 4, words, kind="small"))
    marks.append(label(canvas.across(1), HEIGHT - 6.0, panel.level, anchor="end", kind="small"))
    return marks


def _anchor(level: float, levels: Sequence[float]) -> str:
    return "start" if level == levels[0] else "end" if level == levels[-1] else "middle"


def _spelled(panel: CurvePanel, value: float) -> str:
    return f"{value:.1%}" if panel.percent else f"{value:.3g}"


def _range(panel: CurvePanel, point: CurvePoint) -> str:
    if point.lowest == point.highest:
        return "-"
    return f"{_spelled(panel, point.lowest)} to {_spelled(panel, point.highest)}"


def _in_words(panel: CurvePanel) -> str:
    ends = ((curve.name, curve.points[0], curve.points[-1]) for curve in panel.curves)
    return "; ".join(
        f"{name} from {_spelled(panel, first.mean)} to {_spelled(panel, last.mean)}"
        for name, first, last in ends
    )
