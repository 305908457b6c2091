"""Pieces of inline SVG: escaped text, and colours by the classes of the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["NARROW", "WIDE", "Canvas", "bars", "box", "disc", "label", "line", "shortened"]

LONGEST_NAME = 20


@dataclass(frozen=True)
class Canvas:
    """What a chart is drawn on, in its own units; the page shows the one that fits its width.

    Args:
        kind: class of the drawing, "wide" or "narrow".
        width: of the drawing.
        left: where the rows begin, after the room for names beside them.
        right: room for values at the right.
        row: height of a row.
        middle: from the top of a row to the middle of its bar.
        tiles: number of tiles side by side.
    """

    kind: str
    width: float
    left: float
    right: float
    row: float
    middle: float
    tiles: int

    @property
    def names_above(self) -> bool:
        """Whether the name of a row stands above its bar, for lack of room beside it."""
        return self.middle > self.row / 2

    def across(self, share: float) -> float:
        """Return the x coordinate of a share, 0 to 1, of the width of the rows."""
        return self.left + share * (self.width - self.left - self.right)

    def name(self, top: float, words: str, *, kind: str = "") -> Markup:
        """Return the name of the row that begins at `top`."""
        if self.names_above:
            return label(self.left, top + 15, words, kind=kind)
        return label(self.left - 10, top + self.middle + 5, words, anchor="end", kind=kind)

    def drawing(self, height: float, description: str, marks: Iterable[Markup]) -> Markup:
        """Return marks as one picture, with a description for readers who do not see it."""
        return Markup(
            '<svg class="chart {}" role="img" viewBox="0 0 {} {:.0f}" aria-label="{}">{}</svg>'
        ).format(self.kind, self.width, height, description, Markup("").join(marks))


WIDE = Canvas("wide", 640, left=150, right=90, row=30, middle=15, tiles=3)
NARROW = Canvas("narrow", 350, left=2, right=92, row=46, middle=31, tiles=2)


def box(x: float, y: float, width: float, height: float, kind: str) -> Markup:
    """Return a rectangle of a class."""
    return Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
        kind, x, y, max(0.0, width), max(0.0, height)
    )


def bars(edges: Sequence[float], heights: Sequence[float], base: float, kind: str) -> Markup:
    """Return bars side by side as one shape of a class; a rectangle for each takes five times it.

    Args:
        edges: x coordinates of the sides, one more than there are bars.
        heights: of the bars.
        base: y coordinate of the line that they stand on.
        kind: the class.
    """
    steps = [f"M{edges[0]:.1f} {base:.1f}"]
    last = 0.0
    for position, height in enumerate(heights):
        if height != last:
            steps.append(f"V{base - height:.1f}")
        steps.append(f"H{edges[position + 1]:.1f}")
        last = height
    return Markup('<path class="{}" d="{}V{:.1f}Z"/>').format(kind, "".join(steps), base)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """Return a line of a class."""
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(
        kind, x1, y1, x2, y2
    )


def disc(x: float, y: float, radius: float, kind: str) -> Markup:
    """Return a filled circle of a class."""
    return Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{}"/>').format(kind, x, y, radius)


def label(x: float, y: float, words: str, *, anchor: str = "start", kind: str = "") -> Markup:
    """Return a line of text."""
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        kind, x, y, anchor, escape(words)
    )


def shortened(name: str) -> str:
    """Return a name that fits beside a chart."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
