"""The curve of accuracy and spike difference over T as a picture."""

from __future__ import annotations

from html import escape
from math import log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.deployment.timesteps import Answers, TimestepCurve

__all__ = ["render_page", "render_svg"]

WIDTH, HEIGHT = 640, 280  # of a panel, in the picture's own units
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 34, 46
TORCH, BOARD, GREY = "#2678c8", "#e66101", "#888"


def render_svg(curve: TimestepCurve) -> str:
    """Return one SVG picture: accuracy over T with intervals, and spike difference over T."""
    panels = []
    if curve.on_board.accuracy is not None:
        panels.append(_accuracy_panel(curve))
    differences = [point for point in curve.in_torch if point.spike_difference is not None]
    if differences:
        panels.append(_difference_panel(curve, differences))
    height = HEIGHT * max(len(panels), 1)
    body = "".join(
        f'<g transform="translate(0 {HEIGHT * place})">{panel}</g>'
        for place, panel in enumerate(panels)
    )
    title = escape(f"{curve.model} on {curve.data}, torch at each T and board {curve.board}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
        f' font-family="sans-serif" font-size="13" role="img" aria-label="{title}">'
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>{body}</svg>\n'
    )


def render_page(curve: TimestepCurve) -> str:
    """Return an HTML page with the picture and its figures."""
    title = escape(f"{curve.model} over T")
    kind = "synthetic recordings" if curve.synthetic else "recordings"
    rows = "".join(
        f"<tr><td>{'board ' + escape(curve.board) if p.timesteps is None else f'T = {p.timesteps}'}"
        f"</td><td>{_percent(p.accuracy)}</td><td>{_interval(p)}</td>"
        f"<td>{_percent(p.spike_difference)}</td></tr>"
        for p in (*curve.in_torch, curve.on_board)
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        "<style>body{font-family:sans-serif;max-width:44em;margin:2em auto}"
        "td,th{padding:.2em 1em;text-align:right}</style></head><body>"
        f"<h1>{title}</h1><p>{len(curve.labels)} {kind} of {escape(curve.data)}; program"
        f" {curve.program_sha256[:12]}.</p>{render_svg(curve)}"
        "<table><tr><th></th><th>accuracy</th><th>95 % interval</th><th>spike difference</th></tr>"
        f"{rows}</table></body></html>\n"
    )


def _accuracy_panel(curve: TimestepCurve) -> str:
    points = [point for point in curve.in_torch if point.interval is not None]
    board = curve.on_board
    ends = [end for point in (*points, board) for end in point.interval or ()]
    low = max(0.0, int(min(ends) * 10) / 10)
    scale = _Scale(points, low, 1.0)
    marks = [_frame("accuracy", scale)]
    if board.interval is not None and board.accuracy is not None:
        top, bottom = scale.y(board.interval[1]), scale.y(board.interval[0])
        marks.append(
            f'<rect x="{LEFT}" y="{top:.1f}" width="{WIDTH - LEFT - RIGHT}"'
            f' height="{bottom - top:.1f}" fill="{BOARD}" opacity="0.15"/>'
        )
        marks.append(_level(scale.y(board.accuracy), f"board {curve.board}"))
    values = [(p.common_t, p.accuracy or 0.0) for p in points]
    marks.append(_path(values, scale))
    for point in points:
        x = scale.x(point.common_t or 1)
        low_end, high_end = point.interval or (0.0, 0.0)
        marks.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{scale.y(low_end):.1f}"'
            f' y2="{scale.y(high_end):.1f}" stroke="{TORCH}"/>'
        )
    return "".join(marks)


def _difference_panel(curve: TimestepCurve, points: Sequence[Answers]) -> str:
    values = [(p.common_t, p.spike_difference or 0.0) for p in points]
    scale = _Scale(points, 0.0, max(0.1, *(value for _, value in values)) * 1.1)
    title = f"spike difference of the output, board {curve.board} as the reference"
    return _frame(title, scale) + _path(values, scale)


class _Scale:
    """Where a T and a value lie in a panel."""

    def __init__(self, points: Sequence[Answers], low: float, high: float) -> None:
        self.timesteps = sorted({point.common_t or 1 for point in points})
        self.low, self.high = low, high

    def x(self, timesteps: int) -> float:
        first, last = log10(self.timesteps[0]), log10(self.timesteps[-1])
        share = (log10(timesteps) - first) / (last - first) if last > first else 0.5
        return LEFT + (0.04 + 0.92 * share) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _frame(title: str, scale: _Scale) -> str:
    """Return the title, the axes and their numbers."""
    marks = [_text(LEFT, TOP - 12, title, "start", "black")]
    for step in range(5):
        value = scale.low + step * (scale.high - scale.low) / 4
        y = scale.y(value)
        marks.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        )
        marks.append(_text(LEFT - 8, y + 4, f"{value:.1%}", "end", GREY))
    below = HEIGHT - BOTTOM + 18
    marks += [_text(scale.x(t), below, str(t), "middle", GREY) for t in scale.timesteps]
    marks.append(_text(WIDTH - RIGHT, HEIGHT - 8, "T, time steps in torch", "end", GREY))
    return "".join(marks)


def _level(y: float, name: str) -> str:
    line = (
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{BOARD}"'
        ' stroke-width="2" stroke-dasharray="6 3"/>'
    )
    return line + _text(WIDTH - RIGHT, y - 6, name, "end", BOARD)


def _path(values: Sequence[tuple[int, float]], scale: _Scale) -> str:
    places = [(scale.x(t), scale.y(value)) for t, value in sorted(values)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    discs = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{TORCH}"/>' for x, y in places)
    return f'<polyline points="{line}" fill="none" stroke="{TORCH}" stroke-width="2"/>{discs}'


def _text(x: float, y: float, words: str, anchor: str, colour: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">'
        f"{escape(words)}</text>"
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _interval(point: Answers) -> str:
    return "-" if point.interval is None else f"{point.interval[0]:.1%} to {point.interval[1]:.1%}"
