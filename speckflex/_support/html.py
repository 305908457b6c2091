"""Small HTML of values, for notebooks."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["html_of"]


def html_of(
    title: str,
    facts: Iterable[tuple[str, object]],
    headings: Sequence[str] = (),
    rows: Iterable[Sequence[object]] = (),
) -> str:
    """Return a title, a line of facts and a table, all escaped.

    Args:
        title: what the value is.
        facts: name and value of each fact; those whose value is "" or None are left out.
        headings: of the table; none for no table.
        rows: one cell per heading.
    """
    shown = [f"{_text(name)}: {_text(value)}" for name, value in facts if value not in ("", None)]
    parts = [f"<div><strong>{_text(title)}</strong><br>{' &middot; '.join(shown)}"]
    if headings:
        head = "".join(f"<th>{_text(heading)}</th>" for heading in headings)
        body = "".join(
            f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows
        )
        parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
    return "".join([*parts, "</div>"])


def _text(value: object) -> str:
    return escape("-" if value is None else str(value))
