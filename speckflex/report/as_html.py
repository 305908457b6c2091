"""A report as one self-contained HTML page."""

from __future__ import annotations

from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from bokeh.resources import Resources
from jinja2 import ChainableUndefined, Environment
from markupsafe import Markup

from speckflex.report.as_json import render_json
from speckflex.report.charts.charts import accuracy_chart, difference_chart
from speckflex.report.charts.cores_chart import cores_chart
from speckflex.report.charts.pixels import difference_image, frame_images, png_uri
from speckflex.report.charts.plots import plot_item, raster_plot, scatter_plot
from speckflex.report.charts.work_chart import work_chart
from speckflex.report.roles import role_name
from speckflex.report.tables import (
    accuracy_table,
    ensemble_table,
    layer_table,
    load_table,
    pair_table,
    weight_table,
)
from speckflex.report.verdict import percent

if TYPE_CHECKING:
    from speckflex.report.record import Report

__all__ = ["render_html"]

FILTERS = {
    "percent": percent,
    "difference_chart": difference_chart,
    "cores_chart": cores_chart,
    "work_chart": work_chart,
}


def render_html(report: Report) -> str:
    """Return the page: no other file, no network.

    Args:
        report: one that was read from a file has no plots.
    """
    folder = files("speckflex.report")
    environment = Environment(autoescape=True, undefined=ChainableUndefined, trim_blocks=True)
    environment.filters.update(FILTERS, role=partial(role_name, report=report))
    template = environment.from_string((folder / "page.html").read_text(encoding="utf-8"))
    frames = report.one_sample.frames
    plots = _plots(report)
    return template.render(
        report=report,
        facts=Markup(render_json(report).replace("<", "\\u003c")),  # noqa: S704 - JSON without "<"
        style=_inline("page.css"),
        script=_inline("page.js"),
        bokeh=Markup("\n").join(_bokeh()) if plots else "",
        plots=plots,
        maps=[(facts, _image(facts.values)) for facts in report.neurons.maps],
        frames=frames,
        frame_images=[] if frames is None else [*map(png_uri, frame_images(frames.values))],
        work=[row for row in report.work.work if len(row.rate)],
        accuracy_chart=accuracy_chart(report),
        accuracy_table=accuracy_table(report),
        layer_table=layer_table(report),
        pair_table=pair_table(report),
        weight_table=weight_table(report),
        load_table=load_table(report),
        ensemble_table=ensemble_table(report),
        classes=report.run.data.classes if report.run else (),
    )


def _plots(report: Report) -> list[dict[str, Any]]:
    """Return kind, layer, element id and Bokeh's JSON of each plot."""
    makers = {
        "scatter": [(scatter_plot, facts) for facts in report.neurons.scatter],
        "rasters": [(raster_plot, facts) for facts in report.one_sample.rasters],
    }
    return [
        {
            "kind": kind,
            "facts": facts,
            "id": f"{kind}-{position}",
            "item": Markup(plot_item(make(facts, report.role_names), f"{kind}-{position}")),  # noqa: S704 - no "<"
        }
        for kind, made in makers.items()
        for position, (make, facts) in enumerate(made)
    ]


def _image(values: Any) -> str:
    return png_uri(difference_image(values))


def _inline(name: str) -> Markup:
    """Return a file of this package, which nobody else wrote, as it stands."""
    return Markup((files("speckflex.report") / name).read_text(encoding="utf-8"))  # noqa: S704


def _bokeh() -> list[Markup]:
    """Return Bokeh's own script, which comes with its package."""
    return [
        Markup(text.replace("</script", "<\\/script"))  # noqa: S704 - a file of Bokeh's package
        for text in Resources(mode="inline", components=["bokeh"]).js_raw
    ]
