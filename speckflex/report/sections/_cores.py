"""On the chip: cores, memory, and synaptic operations over time."""

# Annotations are evaluated here, see `speckflex.report.facts`.

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from markupsafe import Markup

from speckflex.analysis.arrivals import core_inputs
from speckflex.analysis.synops import WINDOW, synops_per_window
from speckflex.chips import DEFAULT_CHIP, find_chip
from speckflex.chips.chip import Chip, CoreLimits
from speckflex.report._blocks import Block, Drawing, Heading, Table, Text
from speckflex.report._parts import DRAWN
from speckflex.report._section import Section
from speckflex.report.charts._svg import Canvas, bars, box, label, line, shortened
from speckflex.report.evidence import Evidence
from speckflex.report.facts import Facts, LayerFacts
from speckflex.report.spelling import millions, percent, plural

__all__ = ["Cores", "SynopsLimit", "WorkOverTime", "cores_chart", "work_chart"]

TILE_Y = 128
STRIP = 64
# The limit is drawn if the work exceeds this share of it; otherwise the bars would be too flat.
NEAR = 0.2


@dataclass(frozen=True)
class SynopsLimit:
    """The limit that synaptic operations are compared with.

    Args:
        window_us: width of the window that a peak is averaged over, µs.
        limit_per_second: synaptic operations per second that a core is said to do.
        limit_source: where the limit comes from.
    """

    window_us: int
    limit_per_second: float
    limit_source: str


@dataclass(frozen=True, eq=False)
class WorkOverTime:
    """Synaptic operations of one layer over the sample in which they peak.

    Args:
        layer: name of the layer.
        sample: index of the sample.
        start_ms: `(window,) float64`, start of each window, ms.
        rate: `(window,) float64`, synaptic operations per second in each window.
        window_ms: width of the windows, ms.
        peak: most operations per second in any window that begins at an event, over all samples.
    """

    layer: str
    sample: int
    start_ms: np.ndarray
    rate: np.ndarray
    window_ms: float
    peak: float = 0.0


@dataclass(frozen=True)
class Cores(Section):
    """What the program takes of the chip.

    Args:
        synops: the limit that synaptic operations are compared with.
        work: synaptic operations over time, one line a layer.
    """

    anchor = "chip"
    title = "On the chip"
    columns = (
        "synops_per_second_peak",
        "kernel_memory",
        "kernel_limit",
        "neuron_memory",
        "neuron_limit",
    )

    synops: SynopsLimit
    work: tuple[WorkOverTime, ...] = field(default=(), repr=False, compare=False, metadata=DRAWN)

    @classmethod
    def collect(cls, evidence: Evidence) -> "Cores":
        """Return the limit of the program's chip, and the work of each core."""
        chip = find_chip(DEFAULT_CHIP if evidence.program is None else evidence.program.chip)
        source = "unverified: one thesis on a Speck2f"
        return cls(SynopsLimit(WINDOW, chip.synops_per_second, source), _work(evidence))

    def blocks(self, facts: Facts) -> list[Block]:
        """Return the work of each layer: in all, for each inference, and per second."""
        measured = [layer for layer in facts.layers if layer.synops and not layer.synops.reason]
        if not measured:
            return []
        rows = [
            [
                layer.name,
                "-" if layer.spikes_per_inference is None else f"{layer.spikes_per_inference:.1f}",
                str(synops.total),
                "-" if synops.per_inference is None else f"{synops.per_inference:.0f}",
                millions(synops.sustained_per_second),
                millions(synops.peak_per_second),
            ]
            for layer in measured
            if (synops := layer.synops) is not None
        ]
        headings = ["layer", "spikes/inference", "SynOps", "SynOps/inference"]
        samples = measured[0].synops.samples if measured[0].synops else 0
        caption = f"Work of the cores, over {plural(samples, 'sample')}"
        headings += ["demand SynOps/s", "peak SynOps/s"]
        return [Table(caption, headings, rows, caption.lower())]

    def page(self, facts: Facts) -> list[Block]:
        """Return the cores as tiles, and the work over time."""
        if facts.program.chip is None:
            words = "No program was given beside the recordings"
            return [Text(f"{words}: cores, memories and work are not known.")]
        blocks: list[Block] = [Text(self._limit_sentence(facts.program.chip))]
        if any(layer.core is not None for layer in facts.layers):
            chart = partial(cores_chart, facts.layers, facts.program.chip)
            blocks.append(Drawing("Chart of the cores", chart))
        else:
            blocks.append(Text("The program is not placed on cores: it runs on the twin only."))
        blocks += self.blocks(facts)
        work = [row for row in self.work if len(row.rate)]
        if work:
            words = (
                "Synaptic operations per second of each layer, in windows side by side, in the"
                " busiest of the samples whose events are kept."
            )
            chart = partial(work_chart, work, self.synops.limit_per_second)
            blocks += [
                Heading("Work over time"),
                Text(words),
                Drawing("Chart of the work over time", chart),
            ]
        return blocks

    def _limit_sentence(self, chip: str) -> str:
        limit = f"{self.synops.limit_per_second / 1e6:.0f} million"
        return (
            f"The program is for {chip}. A core is said to do {limit} synaptic operations per"
            f" second ({self.synops.limit_source}). A peak is the most in"
            f" {self.synops.window_us / 1000:.0f} ms that begin at an event, in any sample. The"
            " demand is the work of a sample over the time that its input lasts, in the sample"
            " where this is highest."
        )


def _work(evidence: Evidence) -> tuple[WorkOverTime, ...]:
    """Return the operations per second over time in the busiest sample of each core."""
    program = evidence.program
    if program is None:
        return ()
    lines = []
    for layer in evidence.synops:
        streams = core_inputs(program, evidence.board, evidence.input_events, layer.index)
        if not streams or layer.peak_per_second is None:
            continue
        core = program.cores[layer.index]
        found = [synops_per_window(core, events, window=layer.window) for events in streams]
        busiest = max(range(len(found)), key=lambda n: found[n][1].max(initial=0.0))
        starts, rates = found[busiest]
        lines.append(
            WorkOverTime(
                layer=layer.name,
                sample=busiest,
                start_ms=starts / 1000,
                rate=rates,
                window_ms=layer.window / 1000,
                peak=layer.peak_per_second,
            )
        )
    return tuple(lines)


def cores_chart(layers: Sequence[LayerFacts], chip: str, canvas: Canvas) -> Markup:
    """Return the cores as tiles, each with meters of kernels, neurons and synaptic operations.

    Args:
        layers: the layers of a report.
        chip: the name of the chip.
        canvas: what is drawn on.
    """
    record = find_chip(chip)
    placed = {layer.core: layer for layer in layers if layer.core is not None}
    marks = [
        mark
        for core in record.cores
        for mark in _tile(record, core, placed.get(core.index), canvas)
    ]
    words = [f"{layer.name} on core {index}" for index, layer in sorted(placed.items())]
    words += [f"{layer.name} on no core" for layer in layers if layer.core is None]
    height = -(-len(record.cores) // canvas.tiles) * TILE_Y - 6
    title = f"The {len(record.cores)} cores of {record.label}: {'; '.join(words)}"
    return canvas.drawing(height, title, marks)


def _tile(chip: Chip, core: CoreLimits, layer: LayerFacts | None, canvas: Canvas) -> list[Markup]:
    row, column = divmod(core.index, canvas.tiles)
    width = canvas.width / canvas.tiles
    x, y = column * width + 1, row * TILE_Y + 1
    title = "free" if layer is None else shortened(f"layer {layer.name}")
    repeatable = "" if core.repeatable else " (not repeatable)"
    marks = [
        box(x, y, width - 8, TILE_Y - 8, "core" if layer is None else "core used"),
        label(x + 10, y + 18, f"core {core.index}{repeatable}", kind="small"),
        label(x + 10, y + 37, title, kind="title"),
    ]
    if layer is None:
        return marks
    meters = (
        ("kernels", layer.kernel_memory, core.kernel_words),
        ("neurons", layer.neuron_memory, core.neuron_words),
        ("SynOps/s", layer.synops_per_second_peak, chip.synops_per_second),
    )
    for position, (name, used, limit) in enumerate(meters):
        top = y + 48 + 24 * position
        marks.append(label(x + 10, top + 11, name, kind="small"))
        marks += _meter(x + 72, top + 2, width - 8 - 72 - 56, used, limit)
    return marks


def _meter(x: float, y: float, width: float, used: float | None, limit: float) -> list[Markup]:
    room = box(x, y, width, 11, "room")
    if used is None:
        return [room, label(x + width + 6, y + 9, "unknown", kind="small")]
    share = used / limit
    kind = "bar over" if share > 1 else "bar"
    words = f"{share:.0f} times" if share >= 10 else percent(share, 0)
    filled = box(x, y, width * min(1.0, share), 11, kind)
    return [room, filled, label(x + width + 6, y + 9, words, kind="small")]


def work_chart(lines: Sequence[WorkOverTime], limit: float, canvas: Canvas) -> Markup:
    """Return one strip per layer, with the limit of a core if the work comes near it.

    Args:
        lines: the work of each layer.
        limit: of a core, operations per second.
        canvas: what is drawn on.
    """
    above = 20 if canvas.names_above else 0
    end = max(float(row.start_ms[-1] + row.window_ms) for row in lines if len(row.rate))
    marks = [
        mark
        for position, row in enumerate(lines)
        for mark in _strip(row, (STRIP + above) * position + above, end, limit, canvas)
    ]
    height = (STRIP + above) * len(lines) + 12
    left, right = canvas.across(0), canvas.across(1)
    marks.append(label(left, height - 2, "0 ms", kind="small"))
    marks.append(label(right, height - 2, f"{end:.0f} ms", anchor="end", kind="small"))
    words = "; ".join(f"{row.layer} {_per_second(row)}" for row in lines)
    return canvas.drawing(height, f"Synaptic operations per second over time: {words}", marks)


def _strip(row: WorkOverTime, top: float, end: float, limit: float, canvas: Canvas) -> list[Markup]:
    base, room = top + STRIP - 8, STRIP - 16
    peak = float(max(row.rate, default=0.0))
    near = peak > NEAR * limit
    scale = room / max(peak, limit if near else 0.0, 1.0)
    name, left, right = shortened(f"layer {row.layer}"), canvas.across(0), canvas.across(1)
    marks = [line(left, base, right, base, "axis")]
    if canvas.names_above:
        marks.append(label(left, top - 4, f"{name}, {_per_second(row)}"))
    else:
        marks.append(label(left - 10, base - 22, name, anchor="end"))
        marks.append(label(left - 10, base - 5, _per_second(row), anchor="end", kind="small"))
    rates = np.asarray(row.rate, float)
    edges = [canvas.across(float(at) / end) for at in row.start_ms]
    if edges:
        edges.append(canvas.across(float(row.start_ms[-1] + row.window_ms) / end))
    for kind, shown in (("bar", rates <= limit), ("bar over", rates > limit)):
        if shown.any():
            marks.append(bars(edges, (rates * shown * scale).tolist(), base, kind))
    if near:
        at = base - limit * scale
        marks.append(line(left, at, right, at, "limit"))
    return marks


def _per_second(row: WorkOverTime) -> str:
    return f"peak {row.peak / 1e6:.3g} million/s"
