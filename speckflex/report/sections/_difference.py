"""Spike difference by layer: how far the recordings differ, and in which layer it begins."""

# Annotations are evaluated here, see `speckflex.report.facts`.

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from markupsafe import Markup

from speckflex.report._blocks import Block, Drawing, Heading, Table, Text
from speckflex.report._section import Section
from speckflex.report.charts._svg import Canvas, box, label, line, shortened
from speckflex.report.facts import Facts, LayerComparison, LayerFacts
from speckflex.report.spelling import known, percent, plural

__all__ = ["Differences", "difference_chart"]

HALF = 10  # of the height of a bar


@dataclass(frozen=True)
class Differences(Section):
    """How far the recordings differ, layer by layer; the facts are those of the layers."""

    anchor = "difference"
    title = "Spike difference by layer"
    columns = (
        "index",
        "name",
        "core",
        "spikes",
        "spike_difference",
        "noise_floor",
        "cosine",
        "potential_difference",
    )

    def blocks(self, facts: Facts) -> list[Block]:
        """Return the table of the layers, and of all pairs where there are several."""
        tables: list[Block] = [_layer_table(facts)]
        return [*tables, _pair_table(facts)] if len(facts.comparisons) > 1 else tables

    def page(self, facts: Facts) -> list[Block]:
        """Return what a spike difference is, the chart, and the tables."""
        blocks: list[Block] = []
        if facts.compared and facts.reference:
            blocks.append(Text(_formula(facts, facts.compared, facts.reference)))
        if any(layer.spike_difference is not None for layer in facts.layers):
            chart = partial(difference_chart, facts.layers)
            blocks.append(Drawing("Chart of the spike differences", chart))
        blocks.append(_layer_table(facts))
        if len(facts.comparisons) > 1:
            blocks += [Heading("Every pair"), _pair_table(facts)]
        return blocks


def _formula(facts: Facts, compared: str, reference: str) -> str:
    floor = "No noise floor was measured: it needs two runs of the board."
    if facts.noise_floor is not None:
        floor = (
            "The line marks the noise floor, the difference between two runs of the board:"
            f" {percent(facts.noise_floor)} at the output."
        )
    return (
        "The spike difference is Σ|S - S'| / ΣS over neurons and"
        f" {plural(facts.samples, 'sample')}. S is the spike count of a neuron in"
        f" {facts.name_of(reference)}, the reference, S' its count in {facts.name_of(compared)}."
        f" The column {compared}/{reference} is ΣS' / ΣS. {floor}"
    )


def _layer_table(facts: Facts) -> Table:
    """Return one row per layer: core, spikes of both, difference, work and memory."""
    pair = facts.comparisons[0] if facts.comparisons else None
    ratios = {layer.index: layer.spike_ratio for layer in pair.layers} if pair else {}
    has_floor = any(layer.noise_floor is not None for layer in facts.layers)
    floor = ["noise floor"] if has_floor else []
    compared = [f"{pair.other}/{pair.reference}"] if pair else []
    headings = ["layer", "core", "spikes", *compared, "spike difference", *floor, "cosine"]
    headings += ["kernel words", "neuron words"]
    rows = [
        [
            layer.name,
            known(layer.core),
            known(layer.spikes),
            *([_ratio(ratios.get(layer.index))] if pair else []),
            _difference(layer),
            *([percent(layer.noise_floor)] if has_floor else []),
            _cosine(layer, compared=pair is not None),
            _memory(layer.kernel_memory, layer.cost and layer.cost.kernel_limit),
            _memory(layer.neuron_memory, layer.cost and layer.cost.neuron_limit),
        ]
        for layer in facts.layers
    ]
    caption = f"Layers in network order, over {plural(facts.samples, 'sample')}"
    title = ""
    if pair:
        title = (
            f"spikes over {plural(facts.samples, 'sample')}; the reference is"
            f" {facts.name_of(pair.reference)}"
        )
    return Table(caption, headings, rows, title)


def _ratio(ratio: float | None) -> str:
    return "n/a" if ratio is None else f"{ratio:.3f}"


def _pair_table(facts: Facts) -> Table:
    """Return one row per pair of recordings: same class, and each layer's spike difference."""
    names = {layer.index: layer.name for pair in facts.comparisons for layer in pair.layers}
    rows = []
    for pair in facts.comparisons:
        layers = {layer.index: layer for layer in pair.layers}
        differences = [_difference(layers[i]) if i in layers else "-" for i in sorted(names)]
        who = f"{facts.name_of(pair.other)} against {facts.name_of(pair.reference)}"
        rows.append([who, percent(pair.agreement), *differences])
    headings = ["pair", "same class", *(names[index] for index in sorted(names))]
    return Table("Spike difference of each pair, layer by layer", headings, rows)


def _difference(layer: LayerFacts | LayerComparison) -> str:
    """Return a layer's spike difference, or that of its potentials; n/a where nothing spikes."""
    if layer.spike_difference is None and layer.potential_difference is not None:
        return f"{percent(layer.potential_difference)} (potential)"
    reason = layer.reason if isinstance(layer, LayerComparison) else layer.spike_difference_reason
    if layer.spike_difference is None and "spike in this layer" in reason:
        return "n/a"
    return percent(layer.spike_difference)


def _cosine(layer: LayerFacts, *, compared: bool) -> str:
    if layer.cosine is None:
        return "n/a" if compared else "-"
    return f"{layer.cosine:.4f}"


def _memory(used: int | None, limit: int | None) -> str:
    """Return used and available words of a memory, as far as they are known."""
    return known(used) if limit is None else f"{used} / {limit}"


def difference_chart(layers: Sequence[LayerFacts], canvas: Canvas) -> Markup:
    """Return the spike difference of each layer as a bar, with the noise floor as a line."""
    shown = [
        (layer.name, layer.spike_difference, layer.noise_floor)
        for layer in layers
        if layer.spike_difference is not None
    ]
    top = max([1e-9, *(value for _, *both in shown for value in both if value is not None)])
    marks = []
    for row, (name, difference, floor) in enumerate(shown):
        y = canvas.row * row + canvas.middle
        start, end = canvas.across(0), canvas.across(difference / top)
        marks += [
            canvas.name(canvas.row * row, shortened(f"layer {name}")),
            box(start, y - HALF, end - start, 2 * HALF, "bar"),
            label(end + 6, y + 5, percent(difference)),
        ]
        if floor is not None:
            at = canvas.across(floor / top)
            marks.append(line(at, y - HALF - 2, at, y + HALF + 2, "floor"))
    words = "; ".join(f"{name} {percent(difference)}" for name, difference, _ in shown)
    height = canvas.row * len(shown) + 4
    return canvas.drawing(height, f"Spike difference of each layer: {words}", marks)
