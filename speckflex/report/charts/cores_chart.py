"""The nine cores of the chip, and what a program takes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from speckflex.chips.speck import CORES, SYNOPS_PER_SECOND
from speckflex.report.charts.svg import box, drawing, label, shortened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup

    from speckflex.chips.speck import CoreLimits

__all__ = ["cores_chart"]

TILE_X, TILE_Y = 214, 128
BAR = 80


def cores_chart(layers: Sequence[Mapping[str, Any]]) -> Markup:
    """Return the cores as tiles, each with meters of kernels, neurons and synaptic operations.

    Args:
        layers: the layers of a report.
    """
    placed = {layer["core"]: layer for layer in layers if layer["core"] is not None}
    marks = [
        mark
        for core in CORES
        for mark in _tile(core, placed.get(core.index), core.index % 3, core.index // 3)
    ]
    words = [f"{layer['name']} on core {index}" for index, layer in sorted(placed.items())]
    words += [f"{layer['name']} on no core" for layer in layers if layer["core"] is None]
    return drawing(3 * TILE_Y - 6, f"The nine cores of the chip: {'; '.join(words)}", marks)


def _tile(core: CoreLimits, layer: Mapping[str, Any] | None, column: int, row: int) -> list[Markup]:
    x, y = column * TILE_X + 1, row * TILE_Y + 1
    marks = [box(x, y, TILE_X - 8, TILE_Y - 8, "core" if layer is None else "core used")]
    repeatable = "" if core.repeatable else " (not repeatable)"
    marks.append(label(x + 10, y + 18, f"core {core.index}{repeatable}", kind="small"))
    marks.append(label(x + 10, y + 37, _title(layer), kind="title"))
    if layer is None:
        return marks
    meters = (
        ("kernels", layer["kernel_memory"], core.kernel_words),
        ("neurons", layer["neuron_memory"], core.neuron_words),
        ("SynOps/s", layer["synops_per_second_peak"], SYNOPS_PER_SECOND),
    )
    for position, (name, used, limit) in enumerate(meters):
        marks += _meter(x + 10, y + 48 + 24 * position, name, used, limit)
    return marks


def _title(layer: Mapping[str, Any] | None) -> str:
    return "free" if layer is None else shortened(f"layer {layer['name']}")


def _percent(share: float) -> str:
    """Return a share in few characters."""
    if share >= 10:
        return f"{share:.0f} times"
    return "< 1 %" if 0 < share < 0.01 else f"{100 * share:.0f} %"


def _meter(x: float, y: float, name: str, used: float | None, limit: float) -> list[Markup]:
    marks = [label(x, y + 11, name, kind="small"), box(x + 62, y + 2, BAR, 11, "room")]
    if used is None:
        return [*marks, label(x + 70 + BAR, y + 11, "unknown", kind="small")]
    share = used / limit
    kind = "bar over" if share > 1 else "bar"
    marks.append(box(x + 62, y + 2, BAR * min(1.0, share), 11, kind))
    return [*marks, label(x + 68 + BAR, y + 11, _percent(share), kind="small")]
