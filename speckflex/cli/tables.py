"""Tables on standard output."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["echo_table", "format_number"]

PIPED_WIDTH = 160


def echo_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "") -> None:
    """Print a table with numbers aligned to the right and text to the left."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    rows = [list(row) for row in rows]
    table = Table(title=title or None, box=SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for position, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[position], int | float | None) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*[format_number(value) for value in row])
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
    console.print(table)


def format_number(value: Any) -> str:
    """Return a value as tables show it: spaces between thousands, four digits of a fraction."""
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:_}".replace("_", " ") if isinstance(value, int) else f"{value:.4g}"
