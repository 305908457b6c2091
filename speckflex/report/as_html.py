"""A report as one self-contained HTML page."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from speckflex.report.tables import accuracy_table, layer_table
from speckflex.report.verdict import percent

__all__ = ["render_html"]


def render_html(report: dict[str, Any]) -> str:
    """Return the page: no other file, no network."""
    folder = files("speckflex.report")
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.filters["percent"] = percent
    template = environment.from_string((folder / "page.html").read_text(encoding="utf-8"))
    return template.render(
        report=report,
        style=(folder / "page.css").read_text(encoding="utf-8"),
        accuracy_table=accuracy_table(report),
        layer_table=layer_table(report),
    )
