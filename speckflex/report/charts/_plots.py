"""Plots that one can hover over and zoom into, made with Bokeh."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bokeh.core.types import ID
from bokeh.embed import json_item
from bokeh.models import ColumnDataSource, HoverTool
from bokeh.plotting import figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["add_points", "add_tips", "new_plot", "plot_item"]

ROLE_COLORS = {"torch": "#2678c8", "twin": "#e66101", "chip": "#1b9e5a"}
OTHER_COLORS = ("#2678c8", "#e66101", "#1b9e5a", "#a14ec2")
TOOLS = "pan,box_zoom,wheel_zoom,reset,save"


def new_plot(**settings: Any) -> Any:
    """Return an empty figure in the look of the page; `settings` are Bokeh's."""
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


def add_points(
    plot: Any, columns: Mapping[str, Any], role: str, position: int, **settings: Any
) -> Any:
    """Add the points of one recording and return them.

    Args:
        plot: the figure.
        columns: "x", "y", and what the tips name.
        role: of the recording; it has one colour in all plots.
        position: of the recording among those of the plot, for the colour of other roles.
        settings: of Bokeh's `scatter`.
    """
    color = ROLE_COLORS.get(role, OTHER_COLORS[position % len(OTHER_COLORS)])
    return plot.scatter("x", "y", source=ColumnDataSource(dict(columns)), color=color, **settings)


def add_tips(plot: Any, points: Sequence[Any], tips: Sequence[tuple[str, str]]) -> None:
    """Say what stands beside a point that the mouse is over: names and Bokeh's formats."""
    plot.add_tools(HoverTool(renderers=list(points), tooltips=list(tips)))


def plot_item(plot: Any, identity: str) -> str:
    """Return a plot as JSON that is safe inside a script element.

    Args:
        plot: the figure.
        identity: the id of the page's element that takes it.
    """
    return json.dumps(json_item(plot, ID(identity))).replace("<", "\\u003c")
