"""Tables that fit a terminal: which columns stand side by side, and which below."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["GAP", "WIDTH", "side_by_side"]

WIDTH = 80  # of a terminal, and of what a pipe gets
GAP = 2  # between two columns


def side_by_side(widths: Sequence[int], limit: int = WIDTH) -> list[list[int]]:
    """Return groups of columns of which each fits; the first column names the rows of each.

    A column that does not fit beside the first one has a group of its own.

    Args:
        widths: of the columns, in characters.
        limit: of the characters in a line.
    """
    groups: list[list[int]] = []
    used = limit + 1
    for column, width in enumerate(widths[1:], start=1):
        if used + GAP + width > limit:
            groups.append([0])
            used = widths[0]
        groups[-1].append(column)
        used += GAP + width
    return groups or [[0]]
