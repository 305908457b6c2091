"""Tables on standard output that fit the terminal; numbers are never broken."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any

from speckflex._support.columns import WIDTH, side_by_side

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

__all__ = ["echo_table", "format_number", "line_width"]

SHORT = 24  # a cell of at most this length stands in one line
NARROWEST = 40


def line_width() -> int:
    """Return how many characters a line on standard output holds; 80 in a pipe."""
    if not sys.stdout.isatty():
        return WIDTH
    return max(shutil.get_terminal_size((WIDTH, 24)).columns, NARROWEST)


def echo_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    title: str = "",
    wrong: Collection[str] = (),
) -> None:
    """Print a table with numbers aligned to the right and text to the left.

    Columns that do not fit beside the others follow below, with the first column again. Only the
    words of a long text go on in a second line.

    Args:
        columns: the headings.
        rows: the cells of each row.
        title: stands above the table.
        wrong: cells that are red in a terminal.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    values = [list(row) for row in rows]
    cells = [[format_number(value) for value in row] for row in values]
    width = line_width()
    longest = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    # names come from files, and rich would take "[/b]" for a mark
    console = Console(width=width, markup=False, emoji=False)
    # three blanks between columns, one on each side of the table
    for group in side_by_side([1 + min(size, width // 2) for size in longest], width - 2):
        table = Table(
            title=Text(title) if title else None,
            box=SIMPLE_HEAD,
            title_justify="left",
            pad_edge=False,
        )
        title = ""
        for position in group:
            column = [row[position] for row in values]
            numeric = bool(column) and all(isinstance(one, int | float | None) for one in column)
            table.add_column(
                columns[position],
                justify="right" if numeric else "left",
                overflow="fold",
                no_wrap=longest[position] <= SHORT,
            )
        for row in cells:
            table.add_row(
                *[
                    Text(row[position], "bold red" if row[position] in wrong else "")
                    for position in group
                ]
            )
        console.print(table)


def format_number(value: Any) -> str:
    """Return a value as tables show it: spaces between thousands, four digits of a fraction."""
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:_}".replace("_", " ") if isinstance(value, int) else f"{value:.4g}"
