"""A program as a drawing: the layers, their cores and memory, and the connections."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from markupsafe import Markup

from speckflex._support.files import write_whole
from speckflex.errors import FileFormatError
from speckflex.fitting.memory import layer_memory
from speckflex.report.charts._svg import box, label, shortened
from speckflex.report.spelling import percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from speckflex.chips.chip import CoreLimits
    from speckflex.program.program import Program
    from speckflex.program.records import Core, Destination, InputStage, Shape

__all__ = ["draw_network", "write_network_diagram"]

MARGIN = 16
BOX_X, BOX_Y = 520, 92
GAP = 44  # between boxes, room for an arrow and its words
DETOUR = 34  # width of a lane beside the boxes, for one arrow that passes a box
METER_X, METER = 318, 96

STYLE = """
svg { font-family: system-ui, sans-serif; font-size: 13px; background: #ffffff; }
text { fill: #1c2330; }
.small { font-size: 12px; fill: #4a5568; }
.title { font-weight: 600; }
.layer { fill: #f3f6fb; stroke: #7b8ba5; }
.layer.over { stroke: #c02f1d; stroke-width: 2; }
.room { fill: #d5dde9; }
.bar { fill: #2f6fb7; }
.bar.over { fill: #c02f1d; }
.arrow { fill: none; stroke: #4a5568; stroke-width: 1.5; marker-end: url(#head); }
.head { fill: #4a5568; }
@media (prefers-color-scheme: dark) {
  svg { background: #14181f; }
  text { fill: #e8edf5; }
  .small { fill: #b3bfd1; }
  .layer { fill: #1f2733; stroke: #8796ad; }
  .layer.over { stroke: #ff8b7b; }
  .room { fill: #3a4658; }
  .bar { fill: #6aa9ee; }
  .bar.over { fill: #ff8b7b; }
  .arrow { stroke: #b3bfd1; }
  .head { fill: #b3bfd1; }
}
"""

HEAD = Markup(
    '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8"'
    ' markerHeight="8" orient="auto"><path class="head" d="M0 0 L8 4 L0 8 z"/></marker></defs>'
)


def draw_network(program: Program) -> str:
    """Return a program as a standalone SVG, with a title and a description in words.

    Each layer has a box, from the input down, with its shapes, its core, and the share of the
    core's kernel and neuron memory that it uses. A layer without a core shows numbers of words.
    Arrows show connections and their pooling. Colours follow the light or dark scheme of the
    reader.

    Args:
        program: placed or not.
    """
    detours = _detours(program)
    width = BOX_X + 2 * MARGIN + DETOUR * len(detours)
    height = 2 * MARGIN + (len(program.cores) + 1) * (BOX_Y + GAP) - GAP
    marks = [
        *_input_box(program.input),
        *(
            mark
            for index, core in enumerate(program.cores)
            for mark in _layer_box(index, core, program.chip_record.core(core.chip_core))
        ),
        *_arrows(program, detours),
    ]
    return str(
        Markup(
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" width="{}" height="{}"'
            ' role="img" aria-labelledby="title description">'
            '<title id="title">{}</title><desc id="description">{}</desc>'
            "<style>{}</style>{}{}</svg>\n"
        ).format(
            *(width, height) * 2,
            f"{len(program.cores)} layers on {program.chip}",
            _description(program),
            Markup(STYLE),  # noqa: S704  a constant
            HEAD,
            Markup("\n").join(marks),
        )
    )


def write_network_diagram(program: Program, path: str | Path) -> None:
    """Write `draw_network(program)` to an SVG file.

    Raises:
        FileFormatError: the file can't be written.
    """
    write_whole(path, draw_network(program), FileFormatError)


def _description(program: Program) -> str:
    """Return the picture in words."""
    sentences = [f"Input of {_sides(program.input.shape)}{_targets(program, program.input)}."]
    for core in program.cores:
        memory = layer_memory(core)
        sentences.append(
            f"Layer {core.name} {_place(core)}, {_sides(core.output_shape)} neurons,"
            f" {memory.kernel_words} kernel words, {memory.neuron_words} neuron words"
            f"{_targets(program, core)}."
        )
    return " ".join(sentences)


def _targets(program: Program, source: Core | InputStage) -> str:
    names = [
        f"{program.cores[target.core].name} {_route(target)}".strip()
        for target in source.destinations
    ]
    return f", to {' and '.join(names)}" if names else ""


def _route(destination: Destination) -> str:
    pooling = destination.pooling
    words = [f"pooled {pooling} x {pooling}"] if pooling > 1 else []
    if destination.feature_shift:
        words.append(f"from feature {destination.feature_shift}")
    return " ".join(words)


def _place(core: Core) -> str:
    return "on no core" if core.chip_core is None else f"on core {core.chip_core}"


def _sides(shape: Shape) -> str:
    return " x ".join(map(str, shape))


def _top(index: int) -> int:
    """Return the y of a layer's box; the input's is that of -1."""
    return MARGIN + (index + 1) * (BOX_Y + GAP)


def _input_box(stage: InputStage) -> Iterator[Markup]:
    y = _top(-1)
    yield box(MARGIN, y, BOX_X, BOX_Y, "layer")
    yield label(MARGIN + 12, y + 24, "input events", kind="title")
    yield label(MARGIN + 12, y + 46, f"{_sides(stage.shape)} (channel, y, x)", kind="small")
    if not stage.is_identity:
        words = f"after the DVS layer {_sides(stage.output_shape)}"
        if stage.event_filter is not None:
            words += f", event filter: {stage.event_filter.mode}"
        yield label(MARGIN + 12, y + 66, words, kind="small")


def _layer_box(index: int, core: Core, held: CoreLimits | None) -> Iterator[Markup]:
    memory, y, x = layer_memory(core), _top(index), MARGIN + 12
    meters = (
        ("kernels", memory.kernel_words, held and held.kernel_words),
        ("neurons", memory.neuron_words, held and held.neuron_words),
    )
    over = any(most is not None and need > most for _, need, most in meters)
    yield box(MARGIN, y, BOX_X, BOX_Y, "layer over" if over else "layer")
    yield label(x, y + 24, f"{index}: {shortened(core.name)}", kind="title")
    yield label(METER_X, y + 24, _place(core).removeprefix("on "), kind="title")
    yield label(x, y + 46, _kernel(core), kind="small")
    yield label(x, y + 64, f"{_sides(core.output_shape)} neurons", kind="small")
    yield label(x, y + 82, _thresholds(core), kind="small")
    for position, (name, need, most) in enumerate(meters):
        yield from _meter(METER_X, y + 36 + 24 * position, name, need, most)


def _kernel(core: Core) -> str:
    out, channels, kernel_y, kernel_x = core.weights.shape
    words = f"{channels} → {out} channels, kernel {kernel_y} x {kernel_x}"
    if core.stride != (1, 1):
        words += f", stride {core.stride[0]}, {core.stride[1]}"
    return words


def _thresholds(core: Core) -> str:
    if core.readout == "potential":
        return "read by its potentials"
    return f"fires at {core.threshold_high}, not below {core.threshold_low}"


def _meter(x: float, y: float, name: str, need: int, most: int | None) -> Iterator[Markup]:
    yield label(x, y + 10, name, kind="small")
    if most is None:
        yield label(x + 58, y + 10, f"{need} words", kind="small")
        return
    share = need / most
    yield box(x + 58, y, METER, 11, "room")
    yield box(x + 58, y, METER * min(1.0, share), 11, "bar over" if share > 1 else "bar")
    yield label(x + 64 + METER, y + 10, percent(share, 1), kind="small")


def _detours(program: Program) -> dict[tuple[int, int], int]:
    """Return the arrows that pass a box, as (source, place among destinations), with their lane."""
    lanes = count()
    return {
        (index, place): next(lanes)
        for index, source in enumerate((program.input, *program.cores), start=-1)
        for place, destination in enumerate(source.destinations)
        if destination.core > index + 1
    }


def _arrows(program: Program, detours: dict[tuple[int, int], int]) -> Iterator[Markup]:
    sources: Sequence[Core | InputStage] = (program.input, *program.cores)
    for index, source in enumerate(sources, start=-1):
        for place, destination in enumerate(source.destinations):
            lane = detours.get((index, place))
            if lane is None:
                yield from _arrow_down(index, destination)
            else:
                yield from _arrow_around(index, destination, lane)


def _arrow_down(index: int, destination: Destination) -> Iterator[Markup]:
    x, y = MARGIN + 60, _top(index) + BOX_Y
    yield _path(f"M{x} {y} V{_top(destination.core)}")
    yield label(x + 12, y + GAP / 2 + 4, _route(destination), kind="small")


def _arrow_around(index: int, destination: Destination, lane: int) -> Iterator[Markup]:
    side = MARGIN + BOX_X
    lane_x, start, end = side + DETOUR * (lane + 1) - 12, _top(index) + 60, _top(destination.core)
    yield _path(f"M{side} {start} H{lane_x} V{end + 20} H{side}")
    yield label(side - 8, end - 8, _route(destination), anchor="end", kind="small")


def _path(course: str) -> Markup:
    return Markup('<path class="arrow" d="{}"/>').format(course)
