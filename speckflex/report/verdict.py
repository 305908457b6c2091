"""The verdict: one sentence that carries the report's figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speckflex.report.roles import role_name

if TYPE_CHECKING:
    from speckflex.report.record import Report

__all__ = ["percent", "report_warnings", "verdict"]


def percent(share: float | None, digits: int = 2) -> str:
    """Return a share as a percentage, "-" where there is none."""
    return "-" if share is None else f"{100 * share:.{digits}f} %"


def verdict(report: Report) -> str:
    """Return the sentence that a reader should take away."""
    plural = "" if report.samples == 1 else "s"
    played = f"synthetic sample{plural}" if report.synthetic else f"sample{plural}"
    opening = f"On {report.samples} {played}, "
    clauses = [clause for clause in (_accuracies(report), _difference(report)) if clause]
    if not clauses:
        board = role_name(report.played, report)
        return f"{opening}{board} ran; there is nothing to compare it with."
    sentence = opening + "; ".join(clauses) + "."
    return " ".join([sentence, *_warnings(report)])


def report_warnings(report: Report) -> list[str]:
    """Return what the recordings and conversion warn of, and what folding cost, as sentences."""
    sentences = [
        f"warning: {sentence}" for sentence in (report.run.data.warnings if report.run else ())
    ]
    sentences += [
        f"warning: {check.sentence}" for check in report.checks if check.severity == "warning"
    ]
    before = report.run and report.run.accuracy_before_folding
    if before is not None:
        sentences.append(f"before folding the torch network was right in {percent(before)}")
    return sentences


def _accuracies(report: Report) -> str:
    return ", ".join(
        f"{role_name(role, report)} is right in {percent(share)}"
        f" ({100 * low:.1f} to {100 * high:.1f})"
        for role, share, (low, high) in report.accuracies.known
    )


def _difference(report: Report) -> str:
    if not report.comparisons:
        return ""
    first = report.comparisons[0]
    pair = f"{role_name(first.other, report)} against {role_name(first.reference, report)}"
    if first.first_divergent_layer is None:
        return f"nothing of {pair} differs in any layer"
    if first.spike_difference is None:
        both = f"{role_name(first.other, report)} and {role_name(first.reference, report)}"
        return f"{both} part first in layer {first.first_divergent_layer}"
    layer = first.spike_difference_layer
    read_by_spikes = layer == first.layers[-1].name
    where = "at the output" if read_by_spikes else "in the last layer that spikes"
    return (
        f"the spike difference of {pair} is {percent(first.spike_difference)} {where}"
        f" (layer {layer}){_beside(report)}, and they part first in layer"
        f" {first.first_divergent_layer}"
    )


def _beside(report: Report) -> str:
    """Return what the difference is to be held against: the twin's, and the board's own."""
    reference = report.reference
    parts = [
        f"that of {role_name(pair.other, report)} {percent(pair.spike_difference)}"
        for pair in report.comparisons[1:]
        if pair.reference == reference
    ]
    if report.noise_floor is not None:
        board = role_name(report.played, report)
        parts.append(f"that of {board} from itself {percent(report.noise_floor)}")
    return "".join(f", {part}" for part in parts)


def _warnings(report: Report) -> list[str]:
    sentences = [_losses(report), _silence(report), _unlike_inputs(report), _overload(report)]
    return [sentence for sentence in sentences if sentence]


def _losses(report: Report) -> str:
    return f"{report.lost_events} events were lost." if report.lost_events else ""


def _silence(report: Report) -> str:
    silent = [
        f"{count} of {role_name(role, report)}"
        for role, count in report.accuracies.silent_outputs.items()
        if count
    ]
    if not silent or not report.accuracies.known:
        return ""
    return f"Samples without an output, which count as class 0: {', '.join(silent)}."


def _unlike_inputs(report: Report) -> str:
    unlike = max((pair.unlike_inputs for pair in report.comparisons), default=0)
    if not unlike:
        return ""
    return f"{unlike} samples were not played with the same events on every board."


def _overload(report: Report) -> str:
    limit = report.work.synops.limit_per_second
    over = [layer.name for layer in report.layers if (layer.synops_per_second_peak or 0) > limit]
    if not over:
        return ""
    who, need = ("layers", "need") if len(over) > 1 else ("layer", "needs")
    return (
        f"At the peak, {who} {', '.join(over)} {need} more than the {limit / 1e6:.0f} million"
        " synaptic operations a second that a core is said to do (unverified)."
    )
