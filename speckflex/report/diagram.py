"""The layers of a program on the nine cores, as a picture that stands alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speckflex.report.cores_chart import cores_chart
from speckflex.report.layers import layer_rows

if TYPE_CHECKING:
    from speckflex.program import Program

__all__ = ["render_diagram"]

# The page's style does not reach a picture of its own.
STYLE = """
text { font: 14px sans-serif; fill: #1b1f24; } .small { font-size: 12px; fill: #59636e; }
.title { font-weight: 600; } .bar { fill: #2678c8; } .over { fill: #b3261e; }
.room { fill: #ffffff; stroke: #d5dae0; } .core { fill: none; stroke: #d5dae0; }
.used { fill: #f3f5f8; stroke: #59636e; }
"""


def render_diagram(program: Program) -> str:
    """Return an SVG file of the cores, with what each layer takes of their memories."""
    picture = str(cores_chart(layer_rows(program, {}, (), (), "")))
    opening, rest = picture.split(">", 1)
    return f'{opening} xmlns="http://www.w3.org/2000/svg"><style>{STYLE}</style>{rest}\n'
