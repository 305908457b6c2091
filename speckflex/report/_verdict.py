"""The verdict: the figures of a report in a few sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speckflex.report.spelling import interval, percent, plural

if TYPE_CHECKING:
    from speckflex.report.record import Report

__all__ = ["verdict", "warnings_of"]


def verdict(report: Report) -> str:
    """Return the sentences that a reader should take away."""
    noun = "synthetic sample" if report.synthetic else "sample"
    opening = f"On {plural(report.samples, noun)}, "
    accuracies, differences = _accuracies(report), _differences(report)
    if not accuracies and not differences:
        board = report.name_of(report.played)
        return f"{opening}{board} ran; there is no second recording to compare it with."
    first = f"{opening}{accuracies or differences.pop(0)}."
    return " ".join([first, *(f"{_capital(clause)}." for clause in differences), *_alarms(report)])


def warnings_of(report: Report) -> list[str]:
    """Return the warnings of the recordings and of the conversion, and what folding cost."""
    sentences = [f"warning: {words}" for words in (report.run.data.warnings if report.run else ())]
    sentences += [
        f"warning: {check.sentence}" for check in report.checks if check.severity == "warning"
    ]
    before = report.run and report.run.accuracy_before_folding
    if before is not None:
        sentences.append(f"before folding the torch network classified {percent(before)} correctly")
    return sentences


def _accuracies(report: Report) -> str:
    """Return a clause with the accuracy of every recording, "" where none is known."""
    return ", ".join(
        f"{report.name_of(role)} classifies {percent(share)} correctly"
        f" (95 % interval {interval(bounds)})"
        for role, share, bounds in report.accuracies.known
    )


def _differences(report: Report) -> list[str]:
    """Return clauses about the main comparison; the board's difference from itself beside it."""
    if not report.comparisons:
        return []
    first = report.comparisons[0]
    other, reference = report.name_of(first.other), report.name_of(first.reference)
    if first.first_divergent_layer is None:
        return [f"{other} and {reference} are equal in every layer"]
    begins = f"{other} and {reference} first differ in layer {first.first_divergent_layer}"
    if first.spike_difference is None:
        return [begins]
    layer = first.spike_difference_layer
    read_by_spikes = layer == first.layers[-1].name
    where = "at the output" if read_by_spikes else "in the last layer that spikes"
    size = (
        f"{where} (layer {layer}) the spike difference of {other} from {reference} is"
        f" {percent(first.spike_difference)}{_beside(report)}"
    )
    return [size, begins]


def _beside(report: Report) -> str:
    """Return the figures to compare the difference with: the twin's, and the board's own."""
    parts = [
        f"that of {report.name_of(pair.other)} {percent(pair.spike_difference)}"
        for pair in report.comparisons[1:]
        if pair.reference == report.reference
    ]
    if report.noise_floor is not None:
        board = report.name_of(report.played)
        parts.append(f"that of {board} from itself {percent(report.noise_floor)}")
    return "".join(f", {part}" for part in parts)


def _capital(clause: str) -> str:
    """Return a clause as the start of a sentence; the name of a file stays as it is."""
    starts = clause.startswith(("the ", "at ", "in "))
    return clause[:1].upper() + clause[1:] if starts else clause


def _alarms(report: Report) -> list[str]:
    """Return sentences about what makes the figures doubtful."""
    alarms = []
    if report.lost_events:
        alarms.append(f"{plural(report.lost_events, 'event')} were lost.")
    alarms += [_silence(report), _unlike_inputs(report), _overload(report)]
    return [sentence for sentence in alarms if sentence]


def _silence(report: Report) -> str:
    silent = [
        f"{count} of {report.name_of(role)}"
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
    return f"{plural(unlike, 'sample')} were not played with the same events on every board."


def _overload(report: Report) -> str:
    limit = report.cores.synops.limit_per_second
    over = [layer.name for layer in report.layers if (layer.synops_per_second_peak or 0) > limit]
    if not over:
        return ""
    who, need = ("layers", "need") if len(over) > 1 else ("layer", "needs")
    return (
        f"At the peak, {who} {', '.join(over)} {need} more than the {limit / 1e6:.0f} million"
        " synaptic operations per second that a core is said to do (unverified)."
    )
