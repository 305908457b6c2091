"""What a section consists of: blocks that each rendering shows in its own way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from markupsafe import Markup

    from speckflex.report.charts._plots import PlotData
    from speckflex.report.charts._svg import Canvas

__all__ = [
    "Block",
    "Drawing",
    "Findings",
    "Heading",
    "Image",
    "Images",
    "Matrices",
    "Matrix",
    "Opened",
    "Plot",
    "Plots",
    "Table",
    "Terms",
    "Text",
]


@dataclass(frozen=True)
class Text:
    """A paragraph.

    Args:
        words: escaped by each rendering, unless they are markup, which only the page takes.
    """

    words: str


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    words: str


@dataclass(frozen=True)
class Table:
    """A table whose first column names the rows.

    Args:
        caption: what it shows, on the page.
        headings: one per column.
        rows: one cell per column.
        title: the line above it in plain text, "" for none.
        sortable: whether the page lets its readers sort the rows.
    """

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    sortable: bool = False


@dataclass(frozen=True)
class Terms:
    """Terms and what they stand for."""

    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Drawing:
    """A still picture on the page.

    Args:
        label: its name for readers who do not see it.
        draw: returns an SVG element with a description, for a wide or a narrow page.
    """

    label: str
    draw: Callable[[Canvas], Markup]


@dataclass(frozen=True)
class Plot:
    """A plot on the page that one can zoom into.

    Args:
        title: stands above it.
        note: stands above it, "" for none.
        label: describes it for readers who do not see it.
        data: what is drawn.
    """

    title: str
    note: str
    label: str
    data: PlotData


@dataclass(frozen=True)
class Plots:
    """Plots side by side.

    Args:
        name: their elements on the page are called by it and their position.
        items: the plots.
    """

    name: str
    items: Sequence[Plot]


@dataclass(frozen=True, eq=False)
class Image:
    """An array as a picture on the page.

    Args:
        pixels: `(y, x, 4) uint8`, red, green, blue and opacity.
        label: describes it for readers who do not see it.
        caption: stands below it, "" for none.
    """

    pixels: np.ndarray
    label: str
    caption: str = ""


@dataclass(frozen=True)
class Images:
    """Images side by side, as a gallery or as the frames of a film."""

    kind: Literal["gallery", "frames"]
    items: Sequence[Image]


@dataclass(frozen=True)
class Matrix:
    """A square table of counts, shaded by their share of the row.

    Args:
        title: what it shows.
        caption: says what rows and columns are.
        names: one per row and column.
        counts: row by row.
    """

    title: str
    caption: str
    names: Sequence[str]
    counts: Sequence[Sequence[int]]


@dataclass(frozen=True)
class Matrices:
    """Matrices side by side; small ones are open at first."""

    items: Sequence[Matrix]


@dataclass(frozen=True)
class Findings:
    """Findings in a list that opens.

    Args:
        summary: stands for the closed list.
        items: severity and sentence of each.
    """

    summary: str
    items: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Opened:
    """Blocks behind a line that opens on the page.

    Args:
        summary: the line.
        blocks: what it opens to; not of this kind.
    """

    summary: str
    blocks: Sequence[Block]


Block = Text | Heading | Table | Terms | Drawing | Plots | Images | Matrices | Findings | Opened
