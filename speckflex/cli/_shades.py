"""Counts of events as characters of a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text

__all__ = ["darkness", "grid_size", "strip_of"]

BLOCKS, ASCII = " ░▒▓█", " .:*#"
# A character is about twice as high as it is wide.
CHARACTER_HEIGHT = 2
STYLES = ("red", "blue")  # for cells with more events off, and on


def grid_size(sensor: tuple[int, int], columns: int, rows: int) -> tuple[int, int]:
    """Return the (rows, columns) of characters for a sensor, in its proportions.

    Args:
        sensor: (y, x) pixels.
        columns: the most there may be.
        rows: the most there may be.
    """
    height, width = sensor
    scale = min(columns / width, rows * CHARACTER_HEIGHT / height)
    wide, high = int(width * scale), int(height * scale / CHARACTER_HEIGHT)
    return min(max(high, 1), height), min(max(wide, 1), width)


def darkness(counts: np.ndarray, largest: float) -> np.ndarray:
    """Return counts on a scale from 0 to 1, by their logarithm.

    Args:
        counts: of events.
        largest: the count that becomes 1.
    """
    return np.log1p(counts) / np.log1p(max(largest, 1))


def strip_of(pictures: Sequence[np.ndarray], *, plain: bool) -> Text:
    """Return pictures side by side, all on one scale.

    Args:
        pictures: (channel, y, x) counts each, of one size.
        plain: whether only ASCII can be written.
    """
    from rich.text import Text

    shades = ASCII if plain else BLOCKS
    totals = [picture.sum(axis=0) for picture in pictures]
    largest = max(int(total.max(initial=0)) for total in totals)
    levels = [np.ceil(darkness(total, largest) * 4).astype(int) for total in totals]
    text = Text(no_wrap=True)
    for row in range(pictures[0].shape[1]):
        for number, (picture, level) in enumerate(zip(pictures, levels, strict=True)):
            text.append(" " * (number > 0))
            for column, shade in enumerate(level[row]):
                text.append(shades[shade], style=_style(picture[:, row, column]))
        text.append("\n")
    return text


def _style(counts: np.ndarray) -> str:
    if len(counts) != 2 or counts[0] == counts[1]:
        return ""
    return STYLES[int(counts[1] > counts[0])]
