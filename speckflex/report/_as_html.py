"""A report as one self-contained HTML page."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from speckflex.report._as_json import plain
from speckflex.report._blocks import Plots
from speckflex.report._tiles import tiles_of
from speckflex.report.charts._pixels import png_uri
from speckflex.report.charts._svg import NARROW, WIDE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from speckflex.report._blocks import Block
    from speckflex.report.record import Report

__all__ = ["render_html", "render_page"]


def render_html(report: Report) -> str:
    """Return the page: no other file, no network.

    Args:
        report: one that was read from a file has no plots.
    """
    shown = [(section, section.page(report)) for section in report.sections]
    plots = _plot_items(block for _, blocks in shown for block in blocks)
    return _filled(
        "page.html",
        report=report,
        title=_title(report),
        sections=[(section, blocks) for section, blocks in shown if blocks],
        script=_inline("plots.js"),
        facts=Markup(_facts(report)),  # noqa: S704 - JSON without "<"
        tiles=tiles_of(report),
        plots=plots,
    )


def render_page(title: str, blocks: Sequence[Block]) -> str:
    """Return a page of blocks in the look of a report: no other file, no network."""
    return _filled("trend.html", title=title, blocks=blocks)


def _filled(name: str, **values: Any) -> str:
    """Return one of the package's pages with its style, and with these values."""
    environment = Environment(
        loader=FunctionLoader(lambda file: str(_inline(file))),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters.update(png=png_uri, kind=lambda block: type(block).__name__)
    shared = {"style": _inline("page.css"), "sorting": _inline("sort.js")}
    return environment.get_template(name).render(canvases=(WIDE, NARROW), **shared, **values)


def _facts(report: Report) -> str:
    """Return what stands in report.json, on one line and safe inside a script element."""
    text = json.dumps(plain(report), separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return text.replace("<", "\\u003c")


def _title(report: Report) -> str:
    """Return what ran where; of recordings alone, which two are compared."""
    if report.program.chip is None and report.compared and report.reference:
        return f"{report.opening(report.compared)} against {report.name_of(report.reference)}"
    subject = report.run.model if report.run else f"program {report.program.sha256[:12]}"
    return f"{subject} on {report.board}"


def _plot_items(blocks: Iterable[Block]) -> list[Markup]:
    """Return the JSON of each plot."""
    return [
        Markup(plot.data.to_json(f"{block.name}-{position}"))  # noqa: S704 - no "<"
        for block in blocks
        if isinstance(block, Plots)
        for position, plot in enumerate(block.items)
    ]


def _inline(name: str) -> Markup:
    """Return a file of this package, which nobody else wrote, as it stands."""
    return Markup((files("speckflex.report") / name).read_text(encoding="utf-8"))  # noqa: S704
