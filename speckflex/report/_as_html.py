"""A report as one self-contained HTML page."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from bokeh.resources import Resources
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from speckflex.report._as_json import render_json
from speckflex.report._blocks import Plots
from speckflex.report.charts._pixels import png_uri
from speckflex.report.charts._plots import plot_item

if TYPE_CHECKING:
    from collections.abc import Iterable

    from speckflex.report._blocks import Block
    from speckflex.report.record import Report

__all__ = ["render_html"]


def render_html(report: Report) -> str:
    """Return the page: no other file, no network.

    Args:
        report: one that was read from a file has no plots.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters.update(png=png_uri, kind=lambda block: type(block).__name__)
    page = (files("speckflex.report") / "page.html").read_text(encoding="utf-8")
    shown = [(section, section.page(report)) for section in report.sections]
    plots = _plot_items(block for _, blocks in shown for block in blocks)
    return environment.from_string(page).render(
        report=report,
        title=_title(report),
        sections=[(section, blocks) for section, blocks in shown if blocks],
        facts=Markup(render_json(report).replace("<", "\\u003c")),  # noqa: S704 - JSON without "<"
        style=_inline("page.css"),
        script=_inline("page.js"),
        sorting=_inline("sort.js"),
        bokeh=_bokeh() if plots else "",
        plots=plots,
    )


def _title(report: Report) -> str:
    """Return what ran where; of recordings alone, which two are compared."""
    if report.program.chip is None and report.compared and report.reference:
        return f"{report.opening(report.compared)} against {report.name_of(report.reference)}"
    subject = report.run.model if report.run else f"program {report.program.sha256[:12]}"
    return f"{subject} on {report.board}"


def _plot_items(blocks: Iterable[Block]) -> list[Markup]:
    """Return Bokeh's JSON of each plot."""
    return [
        Markup(plot_item(plot.figure(), f"{block.name}-{position}"))  # noqa: S704 - no "<"
        for block in blocks
        if isinstance(block, Plots)
        for position, plot in enumerate(block.items)
    ]


def _inline(name: str) -> Markup:
    """Return a file of this package, which nobody else wrote, as it stands."""
    return Markup((files("speckflex.report") / name).read_text(encoding="utf-8"))  # noqa: S704


def _bokeh() -> Markup:
    """Return Bokeh's own script, which comes with its package."""
    scripts = Resources(mode="inline", components=["bokeh"]).js_raw
    return Markup("\n".join(text.replace("</script", "<\\/script") for text in scripts))  # noqa: S704
