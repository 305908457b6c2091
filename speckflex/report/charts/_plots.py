"""Plots that one can hover over and zoom into: their data, which plots.js draws as SVG."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.program.records import Shape

__all__ = ["PlotData", "Series", "Tip"]

ROLES = ("torch", "twin", "chip")  # each has one colour in all plots
OTHER_COLORS = 4  # of page.css, for roles of the caller's own
DIGITS = 3  # of times in ms, so that µs stay apart


@dataclass(frozen=True)
class Tip:
    """One line of what stands beside the point that is chosen.

    Args:
        label: its first word.
        field: "x", "y", "count", "address", or "name" for the name of the series.
        unit: after the value, "" for none.
    """

    label: str
    field: str
    unit: str = ""


@dataclass(frozen=True, eq=False)
class Series:
    """The points of one recording.

    Args:
        role: of the recording.
        name: stands in the legend.
        x: `(point,)` numbers.
        y: `(point,) int`.
        neuron: `(point,) int`, index of a neuron in its layer, row by row.
        count: `(point,) int`, how many neurons the point stands for; None for one each. A
            larger point stands for more.
    """

    role: str
    name: str
    x: np.ndarray
    y: np.ndarray
    neuron: np.ndarray
    count: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class PlotData:
    """A plot of points.

    Args:
        x_label: below the horizontal axis.
        y_label: beside the vertical axis.
        shape: (channel, y, x) of the layer, for the addresses of its neurons.
        series: the recordings.
        tips: the lines of the tip of a point.
        diagonal: whether a dashed line marks equal x and y.
    """

    x_label: str
    y_label: str
    shape: Shape
    series: Sequence[Series]
    tips: Sequence[Tip]
    diagonal: bool = False

    def to_json(self, identity: str) -> str:
        """Return the plot as JSON that is safe inside a script element.

        Args:
            identity: the id of the page's element that takes it.
        """
        plain = {
            "id": identity,
            "labels": [self.x_label, self.y_label],
            "shape": self.shape,
            "diagonal": self.diagonal,
            "tips": [[tip.label, tip.field, tip.unit] for tip in self.tips],
            "series": [_plain(one, place) for place, one in enumerate(self.series)],
        }
        return json.dumps(plain, separators=(",", ":")).replace("<", "\\u003c")


def _plain(series: Series, position: int) -> dict[str, Any]:
    role = series.role if series.role in ROLES else f"other{position % OTHER_COLORS}"
    x = np.asarray(series.x)
    return {
        "kind": role,
        "name": series.name,
        "x": x.tolist() if x.dtype.kind in "iu" else np.round(x.astype(float), DIGITS).tolist(),
        "y": series.y.tolist(),
        "neuron": series.neuron.tolist(),
        **({} if series.count is None else {"count": series.count.tolist()}),
    }
