"""The verdict: the figures of a report in a few sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speckflex.report.spelling import (
    factor,
    interval,
    millions,
    milliseconds,
    percent,
    plural,
    points,
)

if TYPE_CHECKING:
    from speckflex.report.facts import ComparisonFacts, LayerComparison
    from speckflex.report.record import Report

FEW = 3  # samples without labels whose answers are in the verdict

__all__ = ["verdict", "warnings_of"]


def verdict(report: Report) -> str:
    """Return the sentences that a reader should take away, what is wrong first."""
    opening = f"On {_samples(report)}, "
    accuracies, differences = _accuracies(report), _differences(report)
    if not accuracies and not differences:
        board = report.name_of(report.played)
        sentences = [f"{opening}{board} ran; there is no second recording to compare it with."]
    else:
        first = accuracies or differences.pop(0)
        sentences = [f"{clause}." for clause in (f"{opening}{first}", *map(_capital, differences))]
    silent, missed = _silent_layers(report), _missed(report)
    return " ".join([*silent, *missed, *sentences, *_answers(report), *_alarms(report)])


def warnings_of(report: Report) -> list[str]:
    """Return the warnings of the recordings and of the conversion."""
    sentences = [f"warning: {words}" for words in (report.run.data.warnings if report.run else ())]
    doubled = report.lost.doubled
    if doubled:
        spikes = report.lost.losses[doubled].repeated_spikes
        sentences.append(
            f"warning: {report.name_of(doubled)} sends spikes twice: {spikes} spikes repeat one of"
            " the same neuron and µs, more than on the twin: count on no figure of its spikes"
        )
    return sentences + [
        f"warning: {check.sentence}" for check in report.checks if check.severity == "warning"
    ]


def _samples(report: Report) -> str:
    return plural(report.samples, "synthetic sample" if report.synthetic else "sample")


def _silent_layers(report: Report) -> list[str]:
    """Return a sentence that names the layers without any spike."""
    silent, board = report.silent_layers, report.name_of(report.played)
    if not silent:
        return []
    who = f"Layers {', '.join(silent)} never spike"
    if len(silent) == 1:
        who = f"Layer {silent[0]} never spikes"
    return [f"{who} on {board}, so nothing can be said of what depends on it."]


def _missed(report: Report) -> list[str]:
    return [f"A bar is missed: {sentence}." for sentence in report.missed]


def _answers(report: Report) -> list[str]:
    """Return what is answered to each of a few samples without a label."""
    samples = report.samples_alone.per_sample
    if not 0 < len(samples) <= FEW or any(one.label is not None for one in samples):
        return []
    sentences = []
    for one in samples:
        says = ", ".join(
            f"{report.name_of(role).removeprefix('the ').removesuffix(' network')}: {answer.words}"
            for role, answer in reversed(list(one.answers.items()))
        )
        which = f"sample {one.sample}, " if len(samples) > 1 else ""
        words = f"{which}{says}."
        sentences += [words[:1].upper() + words[1:]] if says else []
    return sentences


def _accuracies(report: Report) -> str:
    """Return a clause with the accuracy of every step and recording, "" where none is known."""
    clauses = []
    for rung in report.steps.ladder:
        if rung.accuracy is None or rung.accuracy_interval is None:
            continue
        lost = rung.points_lost
        bounds = f"95 % interval {interval(rung.accuracy_interval)}"
        aside = bounds if lost is None else f"{_lost(lost)}; {bounds}"
        clauses.append(f"{_of_step(rung.step, report)} {percent(rung.accuracy)} ({aside})")
    clauses += [
        f"{report.name_of(role)} {percent(share)} (95 % interval {interval(bounds)})"
        for role, share, bounds in report.accuracies.beside_the_ladder
    ]
    if not clauses:
        return ""
    labelled = next(
        (rung.labelled for rung in report.steps.ladder if rung.labelled), report.samples
    )
    of_which = "" if labelled == report.samples else f"of which {labelled} have a label, "
    return f"{of_which}classified correctly: {', '.join(clauses)}"


def _of_step(step: str, report: Report) -> str:
    """Return how a clause calls a step of the ladder."""
    folded = any(rung.step == "folded" for rung in report.steps.ladder)
    names = {
        "trained": "the torch network as trained" if folded else "the torch network",
        "folded": "folded",
        "eight-bit": "in 8 bits and time steps",
    }
    return names.get(step) or report.name_of(step)


def _lost(lost: float) -> str:
    if abs(lost) < 0.005:
        return "no point lost"
    return f"{points(lost)} points lost" if lost > 0 else f"{points(-lost)} points won"


def _differences(report: Report) -> list[str]:
    """Return clauses about the main comparison; the board's difference from itself beside it."""
    if not report.comparisons:
        return []
    first = report.comparisons[0]
    other, reference = report.name_of(first.other), report.name_of(first.reference)
    output = next(one for one in first.layers if one.name == first.spike_difference_layer)
    by_potential = output.potential_difference is not None
    if not by_potential and not output.spikes_reference and not output.spikes_other:
        return [f"neither {other} nor {reference} has a spike in layer {output.name}"]
    if first.first_divergent_layer is None:
        return [f"{other} and {reference} are equal in every layer"]
    begins = f"{other} and {reference} first differ in layer {first.first_divergent_layer}"
    if by_potential:
        return [begins]
    return [_totals(output, first, report), *_size(output, first, report), begins]


def _totals(output: LayerComparison, pair: ComparisonFacts, report: Report) -> str:
    """Return a clause with the spikes of both at the output, and how many times more they are."""
    other, reference = report.name_of(pair.other), report.name_of(pair.reference)
    read_by_spikes = output.index == pair.layers[-1].index
    where = "at the output" if read_by_spikes else "in the last layer that spikes"
    ratio = ""
    if output.spikes_other and output.spikes_reference:
        ratio = f", {factor(output.spikes_reference / output.spikes_other)}"
    return (
        f"{where} (layer {output.name}) {reference} sends {output.spikes_reference} spikes"
        f"{ratio}{' as' if ratio.endswith('many') else ' than' if ratio else ' and'}"
        f" {other}{f' ({output.spikes_other})' if ratio else f' {output.spikes_other}'}"
    )


def _size(output: LayerComparison, pair: ComparisonFacts, report: Report) -> list[str]:
    if output.spike_difference is None:
        return []
    other, reference = report.name_of(pair.other), report.name_of(pair.reference)
    size = f"{percent(output.spike_difference)}{_beside(report)}"
    return [f"with {reference} as the reference, the spike difference of {other} is {size}"]


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
    starts = clause.startswith(("the ", "at ", "in ", "with ", "neither "))
    return clause[:1].upper() + clause[1:] if starts else clause


def _alarms(report: Report) -> list[str]:
    """Return sentences about what makes the figures doubtful."""
    alarms = [*_losses(report), _silence(report), _unlike_inputs(report), _overload(report)]
    return [sentence for sentence in alarms if sentence]


def _losses(report: Report) -> list[str]:
    """Return sentences about known losses, an estimate of others, and doubled output."""
    sentences = []
    for role, lost in report.lost.losses.items():
        board, estimate = report.name_of(role), lost.estimate
        if lost.all_known and not lost.known:
            continue
        known = f"{lost.known} known lost on {board}"
        if lost.all_known:
            sentences.append(f"{known}.")
        elif estimate is None:
            sentences.append(f"{known}, which does not count all losses: play twice to estimate.")
        else:
            sentences.append(
                f"{known}, which does not count all losses: two plays differ as if"
                f" {percent(estimate.share)} of the spikes ({estimate.spikes:.0f} of a play) were"
                " lost or doubled."
            )
    return sentences


def _silence(report: Report) -> str:
    silent = [
        f"{count} of {report.name_of(role)}"
        for role, count in report.accuracies.silent_outputs.items()
        if count
    ]
    if not silent or not report.accuracies.known:
        return ""
    return f"Samples without an answer, which count as wrong: {', '.join(silent)}."


def _unlike_inputs(report: Report) -> str:
    unlike = max((pair.unlike_inputs for pair in report.comparisons), default=0)
    if not unlike:
        return ""
    return f"{plural(unlike, 'sample')} were not played with the same events on every board."


def _overload(report: Report) -> str:
    """Return which cores can not serve what is asked of them, and what accuracies assume."""
    loads = report.core_loads
    if loads is None:
        return _peaks(report)
    if not loads.overloaded:
        return loads.assumption if loads.at_rate else ""
    layers = ", ".join(
        f"{layer.name} is asked for {millions(layer.demand)} SynOps/s and serves"
        f" {millions(layer.served)} ({layer.factor:.2f} times its rate)"
        for layer in loads.overloaded
    )
    samples = plural(loads.load_samples, "sample")
    return (
        f"Overload in the first {samples}: {layers}; the input or an event waits up to"
        f" {milliseconds(loads.delay)}, at an unverified rate of {millions(loads.load_rate)}"
        f" SynOps/s a core. {loads.assumption}"
    )


def _peaks(report: Report) -> str:
    limit = report.cores.synops.limit_per_second
    over = [layer.name for layer in report.layers if (layer.synops_per_second_peak or 0) > limit]
    if not over:
        return ""
    who, need = ("layers", "need") if len(over) > 1 else ("layer", "needs")
    return (
        f"At the peak, {who} {', '.join(over)} {need} more than the {limit / 1e6:.0f} million"
        " synaptic operations per second that a core is said to do (unverified)."
    )
