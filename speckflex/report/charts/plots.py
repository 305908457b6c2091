"""The plots that one can hover over and zoom into, made with Bokeh."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.core.types import ID
from bokeh.embed import json_item
from bokeh.models import ColumnDataSource, HoverTool
from bokeh.plotting import figure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from speckflex.report.record import Raster, Scatter

__all__ = ["ROLE_COLORS", "plot_item", "raster_plot", "scatter_plot"]

ROLE_COLORS = {"torch": "#2678c8", "twin": "#e66101", "chip": "#1b9e5a"}
OTHER_COLORS = ("#2678c8", "#e66101", "#1b9e5a", "#a14ec2")
TOOLS = "pan,box_zoom,wheel_zoom,reset,save"


def plot_item(plot: Any, identity: str) -> str:
    """Return a plot as JSON that is safe inside a script element.

    Args:
        plot: the Bokeh figure.
        identity: the id of the page's element that takes it.
    """
    return json.dumps(json_item(plot, ID(identity))).replace("<", "\\u003c")


def scatter_plot(facts: Scatter, names: Mapping[str, str]) -> Any:
    """Return spikes per neuron, one recording against another, with the line of agreement."""
    plot = _figure(
        x_axis_label=f"spikes, {names[facts.x_role]}",
        y_axis_label=f"spikes, {names[facts.y_role]}",
    )
    top = float(max(facts.x.max(initial=0), facts.y.max(initial=0), 1))
    plot.line([0, top], [0, top], color="#888888", line_dash="dashed")
    columns = {
        "x": facts.x,
        "y": facts.y,
        "neurons": facts.neurons,
        "address": facts.address,
        "size": (5 + 2.5 * np.log2(facts.neurons)).astype(np.float32),
    }
    points = plot.scatter(
        "x",
        "y",
        size="size",
        source=ColumnDataSource(columns),
        color=_color(facts.y_role, 1),
        alpha=0.6,
    )
    plot.add_tools(
        HoverTool(
            renderers=[points],
            tooltips=[
                (names[facts.x_role], "@x spikes"),
                (names[facts.y_role], "@y spikes"),
                ("neurons", "@neurons"),
                ("first (channel, y, x)", "@address"),
            ],
        )
    )
    return plot


def raster_plot(facts: Raster, names: Mapping[str, str]) -> Any:
    """Return the spikes of one layer and sample over time, one colour a recording."""
    plot = _figure(x_axis_label="time (ms)", y_axis_label="neuron", active_drag="box_zoom")
    for position, (role, stream) in enumerate(facts.streams.items()):
        columns = {
            "time_ms": stream.time_ms,
            "neuron": stream.neuron,
            "address": stream.address,
        }
        plot.scatter(
            "time_ms",
            "neuron",
            source=ColumnDataSource(columns),
            marker=("circle", "cross", "x", "square")[position % 4],
            size=6,
            alpha=0.7,
            color=_color(role, position),
            name=names[role],
            legend_label=names[role],
        )
    plot.add_tools(
        HoverTool(
            tooltips=[
                ("recording", "$name"),
                ("time", "@time_ms{0.000} ms"),
                ("(channel, y, x)", "@address"),
            ]
        )
    )
    plot.legend.click_policy = "hide"
    plot.legend.background_fill_alpha = 0.0
    plot.add_layout(plot.legend[0], "above")
    plot.legend.orientation = "horizontal"
    return plot


def _figure(**settings: Any) -> Any:
    plot = figure(
        height=340,
        sizing_mode="stretch_width",
        tools=TOOLS,
        toolbar_location="below",
        background_fill_alpha=0.0,
        border_fill_alpha=0.0,
        **settings,
    )
    plot.toolbar.logo = None
    plot.outline_line_alpha = 0.3
    return plot


def _color(role: str, position: int) -> str:
    return ROLE_COLORS.get(role, OTHER_COLORS[position % len(OTHER_COLORS)])
