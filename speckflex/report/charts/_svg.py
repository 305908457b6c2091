"""Pieces of inline SVG: escaped text, and colours by the classes of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["LABEL", "WIDTH", "across", "box", "disc", "drawing", "label", "line", "shortened"]

WIDTH = 640  # of every drawing, in its own units
LABEL = 150  # room for names on the left
LONGEST_NAME = 20


def drawing(height: float, description: str, marks: Iterable[Markup]) -> Markup:
    """Return marks as one picture, with a description for readers who do not see it."""
    return Markup(
        '<svg class="chart" role="img" viewBox="0 0 {} {:.0f}" aria-label="{}">{}</svg>'
    ).format(WIDTH, height, description, Markup("").join(marks))


def across(share: float) -> float:
    """Return the x coordinate of a share, 0 to 1, of the width beside the labels."""
    return LABEL + share * (WIDTH - LABEL - 90)


def box(x: float, y: float, width: float, height: float, kind: str) -> Markup:
    """Return a rectangle of a class."""
    return Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
        kind, x, y, max(0.0, width), max(0.0, height)
    )


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
