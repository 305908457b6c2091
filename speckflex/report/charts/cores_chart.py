"""The cores of the chip, and how much of each a program uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speckflex.chips import find_chip
from speckflex.report.charts.svg import box, drawing, label, shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from speckflex.chips.chip import Chip, CoreLimits
    from speckflex.report.record import LayerFacts

__all__ = ["cores_chart"]

TILE_X, TILE_Y = 214, 128
COLUMNS = 3
BAR = 80


def cores_chart(layers: Sequence[LayerFacts], chip: str) -> Markup:
    """Return the cores as tiles, each with meters of kernels, neurons and synaptic operations.

    Args:
        layers: the layers of a report.
        chip: the name of the chip.
    """
    record = find_chip(chip)
    placed = {layer.core: layer for layer in layers if layer.core is not None}
    marks = [mark for core in record.cores for mark in _tile(record, core, placed.get(core.index))]
    words = [f"{layer.name} on core {index}" for index, layer in sorted(placed.items())]
    words += [f"{layer.name} on no core" for layer in layers if layer.core is None]
    height = -(-len(record.cores) // COLUMNS) * TILE_Y - 6
    title = f"The {len(record.cores)} cores of {record.label}: {'; '.join(words)}"
    return drawing(height, title, marks)


def _tile(chip: Chip, core: CoreLimits, layer: LayerFacts | None) -> list[Markup]:
    row, column = divmod(core.index, COLUMNS)
    x, y = column * TILE_X + 1, row * TILE_Y + 1
    marks = [box(x, y, TILE_X - 8, TILE_Y - 8, "core" if layer is None else "core used")]
    repeatable = "" if core.repeatable else " (not repeatable)"
    marks.append(label(x + 10, y + 18, f"core {core.index}{repeatable}", kind="small"))
    marks.append(label(x + 10, y + 37, _title(layer), kind="title"))
    if layer is None:
        return marks
    meters = (
        ("kernels", layer.kernel_memory, core.kernel_words),
        ("neurons", layer.neuron_memory, core.neuron_words),
        ("SynOps/s", layer.synops_per_second_peak, chip.synops_per_second),
    )
    for position, (name, used, limit) in enumerate(meters):
        marks += _meter(x + 10, y + 48 + 24 * position, name, used, limit)
    return marks


def _title(layer: LayerFacts | None) -> str:
    return "free" if layer is None else shortened(f"layer {layer.name}")


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
