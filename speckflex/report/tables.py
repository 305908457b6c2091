"""The tables that every rendering of a report shares: headings and rows of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speckflex.report.roles import role_name
from speckflex.report.verdict import percent

if TYPE_CHECKING:
    from speckflex.report.record import LayerComparison, LayerFacts, Report

__all__ = [
    "accuracy_table",
    "ensemble_table",
    "layer_table",
    "load_table",
    "milliseconds",
    "pair_table",
    "weight_table",
]

Table = tuple[list[str], list[list[str]]]


def accuracy_table(report: Report) -> Table:
    """Return one row per recording whose accuracy is known."""
    rows = [
        [
            role_name(role, report).removeprefix("the "),
            percent(share),
            f"{100 * low:.1f} to {100 * high:.1f} %",
        ]
        for role, share, (low, high) in report.accuracies.known
    ]
    return ["recording", "accuracy", "95 % interval"], rows


def layer_table(report: Report) -> Table:
    """Return one row per layer: core, spikes, distance, work and memory."""
    has_floor = any(layer.noise_floor is not None for layer in report.layers)
    floor = ["noise floor"] if has_floor else []
    headings = ["layer", "core", "spikes", "spike difference", *floor, "cosine", "peak SynOps/s"]
    rows = [
        [
            layer.name,
            _or_dash(layer.core),
            _or_dash(layer.spikes),
            difference_text(layer),
            *([percent(layer.noise_floor)] if has_floor else []),
            "-" if layer.cosine is None else f"{layer.cosine:.4f}",
            _millions(layer.synops_per_second_peak),
            _memory(layer.kernel_memory, layer.cost and layer.cost.kernel_limit),
            _memory(layer.neuron_memory, layer.cost and layer.cost.neuron_limit),
        ]
        for layer in report.layers
    ]
    return [*headings, "kernel words", "neuron words"], rows


def pair_table(report: Report) -> Table:
    """Return one row per pair of recordings: same class, and each layer's spike difference."""
    names = {layer.index: layer.name for pair in report.comparisons for layer in pair.layers}
    rows = []
    for pair in report.comparisons:
        layers = {layer.index: layer for layer in pair.layers}
        differences = [difference_text(layers[i]) if i in layers else "-" for i in sorted(names)]
        who = f"{role_name(pair.other, report)} against {role_name(pair.reference, report)}"
        rows.append([who, percent(pair.agreement), *differences])
    return ["pair", "same class", *(names[index] for index in sorted(names))], rows


def weight_table(report: Report) -> Table:
    """Return one row per layer: thresholds and what 8 bits do to its weights."""
    headings = ["layer", "weights", "8-bit error", "saturated", "zero", "above threshold"]
    rows = [
        [
            layer.name,
            str(cost.weights),
            percent(layer.weight_error),
            percent(cost.weights_saturated),
            percent(cost.weights_zero),
            percent(cost.weights_above_threshold),
            f"{cost.threshold_low} to {cost.threshold_high}",
            percent(layer.silent_neurons),
        ]
        for layer in report.layers
        if (cost := layer.cost) is not None
    ]
    return [*headings, "thresholds", "silent neurons"], rows


def load_table(report: Report) -> Table:
    """Return one row per core: how busy it is, and whether it keeps up; none where not measured."""
    rows = [
        [
            layer.name,
            _millions(layer.sustained),
            percent(layer.utilisation),
            milliseconds(layer.longest_wait),
            milliseconds(layer.stalled),
            milliseconds(layer.input_wait),
            str(layer.dropped),
            layer.verdict,
        ]
        for layer in (report.loads.load if report.loads else ())
    ]
    headings = ["layer", "sustained SynOps/s", "busy", "longest wait", "stalled", "input held up"]
    return [*headings, "dropped", "verdict"], rows


def ensemble_table(report: Report) -> Table:
    """Return one row per layer: how far changed plays of the same samples are apart."""
    rows = [
        [
            layer.name,
            f"{layer.spikes[0]:.0f} ± {layer.spikes[1]:.0f}",
            *(percent(share) for share in (*layer.from_unperturbed, *layer.between_plays)),
        ]
        for layer in (report.spread.ensemble.layers if report.spread else ())
    ]
    headings = ["layer", "spikes", "from unchanged", "at most", "between plays", "at most"]
    return headings, rows


def difference_text(layer: LayerFacts | LayerComparison) -> str:
    """Return a layer's spike difference, or its potentials' where it never spikes."""
    if layer.spike_difference is None and layer.potential_difference is not None:
        return f"{percent(layer.potential_difference)} (potential)"
    return percent(layer.spike_difference)


def _memory(used: int | None, limit: int | None) -> str:
    """Return used and available words of a memory, as far as they are known."""
    return _or_dash(used) if limit is None else f"{used} / {limit}"


def _or_dash(value: object) -> str:
    return "-" if value is None else str(value)


def milliseconds(microseconds: float | None) -> str:
    """Return a duration (µs) in milliseconds, "-" where there is none."""
    return "-" if microseconds is None else f"{_three_digits(microseconds / 1000)} ms"


def _millions(rate: float | None) -> str:
    return "-" if rate is None else f"{_three_digits(rate / 1e6)} M"


def _three_digits(value: float) -> str:
    """Return the value to three digits, without an exponent where it is large."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:.0f}" if rounded >= 100 else f"{rounded:.3g}"
