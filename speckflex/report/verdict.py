"""The verdict: one sentence that carries the report's figures."""

from __future__ import annotations

from typing import Any

from speckflex.report.roles import role_name

__all__ = ["percent", "report_warnings", "verdict"]


def percent(share: float | None, digits: int = 2) -> str:
    """Return a share as a percentage, "-" where there is none."""
    return "-" if share is None else f"{100 * share:.{digits}f} %"


def verdict(report: dict[str, Any]) -> str:
    """Return the sentence that a reader should take away."""
    plural = "" if report["samples"] == 1 else "s"
    played = f"synthetic sample{plural}" if report["synthetic"] else f"sample{plural}"
    opening = f"On {report['samples']} {played}, "
    clauses = [clause for clause in (_accuracies(report), _difference(report)) if clause]
    if not clauses:
        board = role_name(report["played"], report)
        return f"{opening}{board} ran; there is nothing to compare it with."
    sentence = opening + "; ".join(clauses) + "."
    return " ".join([sentence, *_warnings(report)])


def report_warnings(report: dict[str, Any]) -> list[str]:
    """Return what the recordings and conversion warn of, and what folding cost, as sentences."""
    sentences = [
        f"warning: {sentence}" for sentence in (report.get("data") or {}).get("warnings", ())
    ]
    sentences += [
        f"warning: {check.get('layer') or 'the network'}: {check['message']}: {check['remedy']}"
        for check in report["checks"]
        if check["severity"] == "warning"
    ]
    before = report.get("accuracy_before_folding")
    if before is not None:
        sentences.append(f"before folding the torch network was right in {percent(before)}")
    return sentences


def _accuracies(report: dict[str, Any]) -> str:
    parts = []
    for role, share in report["accuracy"].items():
        interval = report["accuracy_interval"][role]
        if share is not None:
            low, high = (f"{100 * bound:.1f}" for bound in interval)
            parts.append(
                f"{role_name(role, report)} is right in {percent(share)} ({low} to {high})"
            )
    return ", ".join(parts)


def _difference(report: dict[str, Any]) -> str:
    if not report["comparisons"]:
        return ""
    first = report["comparisons"][0]
    pair = f"{role_name(first['other'], report)} against {role_name(first['reference'], report)}"
    if first["first_divergent_layer"] is None:
        return f"nothing of {pair} differs in any layer"
    if first["spike_difference"] is None:
        both = f"{role_name(first['other'], report)} and {role_name(first['reference'], report)}"
        return f"{both} part first in layer {first['first_divergent_layer']}"
    layer = first["spike_difference_layer"]
    read_by_spikes = layer == first["layers"][-1]["name"]
    where = "at the output" if read_by_spikes else "in the last layer that spikes"
    return (
        f"the spike difference of {pair} is {percent(first['spike_difference'])} {where}"
        f" (layer {layer}){_beside(report)}, and they part first in layer"
        f" {first['first_divergent_layer']}"
    )


def _beside(report: dict[str, Any]) -> str:
    """Return what the difference is to be held against: the twin's, and the board's own."""
    reference = report["reference"]
    parts = [
        f"that of {role_name(pair['other'], report)} {percent(pair['spike_difference'])}"
        for pair in report["comparisons"][1:]
        if pair["reference"] == reference
    ]
    if report["noise_floor"] is not None:
        board = role_name(report["played"], report)
        parts.append(f"that of {board} from itself {percent(report['noise_floor'])}")
    return "".join(f", {part}" for part in parts)


def _warnings(report: dict[str, Any]) -> list[str]:
    sentences = [_losses(report), _silence(report), _unlike_inputs(report), _overload(report)]
    return [sentence for sentence in sentences if sentence]


def _losses(report: dict[str, Any]) -> str:
    return f"{report['lost_events']} events were lost." if report["lost_events"] else ""


def _silence(report: dict[str, Any]) -> str:
    silent = [
        f"{count} of {role_name(role, report)}"
        for role, count in report["silent_outputs"].items()
        if count
    ]
    if not silent or all(share is None for share in report["accuracy"].values()):
        return ""
    return f"Samples without an output, which count as class 0: {', '.join(silent)}."


def _unlike_inputs(report: dict[str, Any]) -> str:
    unlike = max((pair["unlike_inputs"] for pair in report["comparisons"]), default=0)
    if not unlike:
        return ""
    return f"{unlike} samples were not played with the same events on every board."


def _overload(report: dict[str, Any]) -> str:
    limit = report["synops"]["limit_per_second"]
    over = [
        layer["name"]
        for layer in report["layers"]
        if (layer["synops_per_second_peak"] or 0) > limit
    ]
    if not over:
        return ""
    who, need = ("layers", "need") if len(over) > 1 else ("layer", "needs")
    return (
        f"At the peak, {who} {', '.join(over)} {need} more than the {limit / 1e6:.0f} million"
        " synaptic operations a second that a core is said to do (unverified)."
    )
