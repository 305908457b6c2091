"""The tables that every rendering of a report shares: headings and rows of text."""

from __future__ import annotations

from typing import Any

from speckflex.report.roles import role_name
from speckflex.report.verdict import percent

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


def accuracy_table(report: dict[str, Any]) -> Table:
    """Return one row per recording whose accuracy is known."""
    rows = [
        [
            role_name(role, report).removeprefix("the "),
            percent(share),
            _interval(report["accuracy_interval"][role]),
        ]
        for role, share in report["accuracy"].items()
        if share is not None
    ]
    return ["recording", "accuracy", "95 % interval"], rows


def layer_table(report: dict[str, Any]) -> Table:
    """Return one row per layer: core, spikes, distance, work and memory."""
    has_floor = any(layer["noise_floor"] is not None for layer in report["layers"])
    floor = ["noise floor"] if has_floor else []
    headings = ["layer", "core", "spikes", "spike difference", *floor, "cosine", "peak SynOps/s"]
    rows = [
        [
            layer["name"],
            _or_dash(layer["core"]),
            _or_dash(layer["spikes"]),
            difference_text(layer),
            *([percent(layer["noise_floor"])] if has_floor else []),
            "-" if layer["cosine"] is None else f"{layer['cosine']:.4f}",
            _millions(layer["synops_per_second_peak"]),
            memory_text(layer, "kernel"),
            memory_text(layer, "neuron"),
        ]
        for layer in report["layers"]
    ]
    return [*headings, "kernel words", "neuron words"], rows


def pair_table(report: dict[str, Any]) -> Table:
    """Return one row per pair of recordings: same class, and each layer's spike difference."""
    pairs = report["comparisons"]
    names = {layer["index"]: layer["name"] for pair in pairs for layer in pair["layers"]}
    rows = []
    for pair in pairs:
        layers = {layer["index"]: layer for layer in pair["layers"]}
        differences = [difference_text(layers[i]) if i in layers else "-" for i in sorted(names)]
        who = f"{role_name(pair['other'], report)} against {role_name(pair['reference'], report)}"
        rows.append([who, percent(pair["agreement"]), *differences])
    return ["pair", "same class", *(names[index] for index in sorted(names))], rows


def weight_table(report: dict[str, Any]) -> Table:
    """Return one row per layer: thresholds and what 8 bits do to its weights."""
    headings = ["layer", "weights", "8-bit error", "saturated", "zero", "above threshold"]
    rows = [
        [
            layer["name"],
            str(layer["weights"]),
            percent(layer["weight_error"]),
            percent(layer["weights_saturated"]),
            percent(layer["weights_zero"]),
            percent(layer["weights_above_threshold"]),
            f"{layer['threshold_low']} to {layer['threshold_high']}",
            percent(layer["silent_neurons"]),
        ]
        for layer in report["layers"]
        if "weights" in layer
    ]
    return [*headings, "thresholds", "silent neurons"], rows


def load_table(report: dict[str, Any]) -> Table:
    """Return one row per core: how busy it is, and whether it keeps up; none where not measured."""
    rows = [
        [
            layer["name"],
            _millions(layer["sustained"]),
            percent(layer["utilisation"]),
            milliseconds(layer["longest_wait"]),
            milliseconds(layer.get("stalled")),
            milliseconds(layer.get("input_wait")),
            str(layer["dropped"]),
            layer.get("verdict") or ("keeps up" if layer["passed"] else "overloaded"),
        ]
        for layer in report.get("load") or ()
    ]
    headings = ["layer", "sustained SynOps/s", "busy", "longest wait", "stalled", "input held up"]
    return [*headings, "dropped", "verdict"], rows


def ensemble_table(report: dict[str, Any]) -> Table:
    """Return one row per layer: how far changed plays of the same samples are apart."""
    rows = [
        [
            layer["name"],
            f"{layer['spikes'][0]:.0f} ± {layer['spikes'][1]:.0f}",
            *(percent(share) for share in (*layer["from_unperturbed"], *layer["between_plays"])),
        ]
        for layer in (report.get("ensemble") or {}).get("layers", ())
    ]
    headings = ["layer", "spikes", "from unchanged", "at most", "between plays", "at most"]
    return headings, rows


def difference_text(layer: dict[str, Any]) -> str:
    """Return a layer's spike difference, or its potentials' where it never spikes."""
    if layer["spike_difference"] is None and layer["potential_difference"] is not None:
        return f"{percent(layer['potential_difference'])} (potential)"
    return percent(layer["spike_difference"])


def memory_text(layer: dict[str, Any], memory: str) -> str:
    """Return used and available words of a memory, as far as they are known."""
    used, limit = layer[f"{memory}_memory"], layer.get(f"{memory}_limit")
    return _or_dash(used) if limit is None else f"{used} / {limit}"


def _interval(bounds: list[float] | None) -> str:
    return "-" if bounds is None else f"{100 * bounds[0]:.1f} to {100 * bounds[1]:.1f} %"


def _or_dash(value: Any) -> str:
    return "-" if value is None else str(value)


def milliseconds(microseconds: float | None) -> str:
    """Return a duration (µs) in milliseconds, "-" where an earlier version's report has none."""
    return "-" if microseconds is None else f"{_three_digits(microseconds / 1000)} ms"


def _millions(rate: float | None) -> str:
    return "-" if rate is None else f"{_three_digits(rate / 1e6)} M"


def _three_digits(value: float) -> str:
    """Return the value to three digits, without an exponent where it is large."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:.0f}" if rounded >= 100 else f"{rounded:.3g}"
