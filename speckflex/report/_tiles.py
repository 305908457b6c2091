"""The tiles of the verdict: five figures, whether each is good, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from speckflex.recordings.measures import sign_test
from speckflex.report._remedies import remedies_of
from speckflex.report.spelling import factor, millions, milliseconds, percent, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.report.record import Report

__all__ = ["Tile", "tiles_of"]

Status = Literal["pass", "warn", "fail", "unknown"]

# Where a user states no bar; choices of this project, and the tiles say them.
POINTS = 1.0  # percentage points of accuracy
DIFFERENCE = 0.1  # spike difference, a fraction
BUSY = 0.8  # of the rate of a core
ESTIMATED = 0.01  # share of spikes that two plays say are lost
CHANCE = 0.05  # p-value from which on a change may be chance


@dataclass(frozen=True)
class Tile:
    """One figure of the verdict.

    Args:
        subject: what it is about.
        anchor: the section that tells more.
        status: "pass", "warn", "fail", or "unknown" where it was not measured.
        figure: a few characters.
        words: a sentence about it.
        rule: what the status goes by.
        action: what to do next, "" for nothing.
        command: the command for it, "" for none.
        steps: names and figures below it.
    """

    subject: str
    anchor: str
    status: Status
    figure: str
    words: str
    rule: str = ""
    action: str = ""
    command: str = ""
    steps: Sequence[tuple[str, str]] = ()


def tiles_of(report: Report) -> list[Tile]:
    """Return the tiles of a report: accuracy, spike difference, load, losses, silence."""
    makers = (_accuracy, _difference, _load, _losses, _silence)
    return [maker(report) for maker in makers]


def _accuracy(report: Report) -> Tile:
    about = ("Accuracy", "ladder" if report.steps.blocks(report) else "accuracy")
    known = [rung for rung in report.steps.ladder if rung.accuracy is not None]
    missed = _sentence(report.bars.missed_accuracy(report))
    if not known:
        words = "No sample has a label, so nothing says which answers are right."
        action = "Give recordings in one folder for each class."
        return Tile(
            *about, "fail" if missed else "unknown", "no labels", missed or words, "", action
        )
    first, last = known[0], known[-1]
    steps = [(_step(rung.step, report), percent(rung.accuracy, 1)) for rung in known]
    board = report.name_of(report.played)
    if first is last:
        words = f"{_capital(board)} ran alone: no network in torch to compare it with."
        status: Status = "fail" if missed else "pass"
        return Tile(*about, status, percent(last.accuracy, 1), missed or words, steps=steps)
    lost = 100 * ((first.accuracy or 0.0) - (last.accuracy or 0.0))
    worse, better = _changed(report)
    chance = sign_test(worse, better) >= CHANCE
    words = f"{_capital(_lost(lost))} from the trained network to {board}"
    if abs(lost) >= 0.05:
        words += " (within chance: " if chance else " ("
        words += f"{worse} newly wrong, {better} newly right)"
    stated = report.bars.min_accuracy is not None
    status = "fail" if missed else "warn" if lost > POINTS and not stated else "pass"
    rule = _bar(report.bars.min_accuracy, f"warns above {POINTS:g} point lost")
    worst = max(known[1:], key=lambda rung: rung.points_lost or 0.0)
    command = worst.remedy if lost > POINTS else ""
    action = f"Win back “{_step(worst.step, report)}”, the step that loses most:" if command else ""
    return Tile(
        *about,
        status,
        percent(last.accuracy, 1),
        missed or f"{words}.",
        rule,
        action,
        command,
        steps,
    )


def _step(step: str, report: Report) -> str:
    names = {"trained": "trained", "folded": "folded", "eight-bit": "8 bits"}
    return names.get(step) or report.name_of(step).removeprefix("the ")


def _changed(report: Report) -> tuple[int, int]:
    """Return how many labelled samples torch alone has right, and how many the board alone."""
    worse = better = 0
    for one in report.samples_alone.per_sample:
        given, played = one.answers.get("torch"), one.answers.get(report.played)
        if one.label is None or given is None or played is None:
            continue
        was, now = given.answer == one.label, played.answer == one.label
        worse, better = worse + (was and not now), better + (now and not was)
    return worse, better


def _lost(lost: float) -> str:
    if abs(lost) < 0.05:
        return "no point lost"
    return f"{lost:.1f} points lost" if lost > 0 else f"{-lost:.1f} points won"


def _difference(report: Report) -> Tile:
    about = ("Spike difference", "difference")
    missed = _sentence(report.bars.missed_difference(report))
    if not report.comparisons or report.compared is None or report.reference is None:
        words = "There is only one recording, so there is nothing to compare."
        return Tile(*about, "fail" if missed else "unknown", "not compared", missed or words)
    share, other = report.spike_difference, report.name_of(report.compared)
    reference = report.name_of(report.reference)
    if share is None:
        pair = report.comparisons[0]
        layer = next(one for one in pair.layers if one.name == pair.spike_difference_layer)
        by_potential = layer.potential_difference is not None
        words = f"Layer {layer.name}: {layer.reason}."
        return Tile(
            *about, "fail" if missed else "unknown" if by_potential else "fail", "n/a", words
        )
    words = f"{_capital(other)} against {reference} in layer {report.spike_difference_layer}"
    if report.spike_ratio:
        words += f"; {reference} sends {factor(1 / report.spike_ratio)} spikes"
        words = words.replace("as many spikes", "as many spikes as it")
    floor = report.noise_floor
    inside = floor is not None and share <= floor
    if floor is not None:
        words += f"; {report.name_of(report.played)} differs from itself by {percent(floor, 1)}"
    stated = report.bars.max_spike_difference is not None
    fine = stated or inside or share <= DIFFERENCE
    status: Status = "fail" if missed else "pass" if fine else "warn"
    rule = _bar(report.bars.max_spike_difference, f"warns above {100 * DIFFERENCE:.0f} %")
    remedies = remedies_of(report)
    explain = remedies is not None and status != "pass" and report.run and report.run.bins
    command = remedies.deploy("--explain") if remedies and explain else ""
    action = "Find the layer that causes it:" if command else ""
    return Tile(*about, status, percent(share, 1), f"{words}.", rule, action, command)


def _load(report: Report) -> Tile:
    about, loads, remedies = ("Load", "load"), report.core_loads, remedies_of(report)
    if loads is None:
        words = "Whether the cores keep up was not measured."
        return Tile("Load", "chip", "unknown", "not measured", words)
    top = max(loads.load, key=lambda layer: layer.factor)
    slow = [layer.name for layer in loads.load if layer.verdict != "keeps up"]
    words = (
        f"Layer {top.name} is asked for {millions(top.demand)} synaptic operations per second,"
        f" {top.factor:.2g} times what a core does (unverified)"
    )
    if slow:
        words += f"; the input or an event waits up to {milliseconds(loads.delay)}"
    status: Status = "fail" if loads.overloaded else "warn" if slow or top.factor > BUSY else "pass"
    command = ""
    if remedies and status != "pass" and loads.at_rate is None:
        command = remedies.deploy(f"--rate {loads.load_rate:.0f}")
    action = "See what is lost at this rate:" if command else ""
    figure = f"{top.factor:.2g} times" if top.factor >= 1 else percent(top.factor, 0)
    rule = f"fails where a core cannot keep up, warns above {100 * BUSY:.0f} %"
    return Tile(*about, status, figure, f"{words}.", rule, action, command)


def _losses(report: Report) -> Tile:
    about, losses = ("Losses", "losses"), report.lost.losses
    board = losses.get(report.played)
    if board is None:
        return Tile(*about, "unknown", "not known", "No board was recorded.")
    figure, name = f"{board.known} known", _capital(report.name_of(report.played))
    doubled = report.lost.doubled
    if doubled:
        words = f"{name} sends spikes twice: count on no figure of its spikes."
        return Tile(
            *about, "fail", figure, words, "", "Check cable, hub and firmware of the board."
        )
    if board.all_known:
        words = f"{name} counts every event: {'some' if board.known else 'none'} got lost."
        return Tile(*about, "fail" if board.known else "pass", figure, words)
    estimate = board.estimate
    words = f"{name} does not count all losses."
    if estimate is None:
        status: Status = "fail" if board.known else "warn"
        return Tile(*about, status, figure, words, "", "Play twice for an estimate.")
    words += (
        f" Two plays differ as if {percent(estimate.share)} of the spikes were lost or doubled."
    )
    status = "fail" if board.known else "warn" if estimate.share > ESTIMATED else "pass"
    return Tile(*about, status, figure, words, f"warns above {100 * ESTIMATED:.0f} % estimated")


def _silence(report: Report) -> Tile:
    about, silent = ("Silence", "difference"), report.silent_layers
    board = report.name_of(report.played)
    unanswered = report.accuracies.silent_outputs.get(report.played, 0)
    remedies = remedies_of(report)
    check = remedies.check if remedies else ""
    action = "See which weights and thresholds keep it silent:" if check else ""
    if silent:
        words = f"Never spiking on {board}: {', '.join(silent)}."
        return Tile(*about, "fail", plural(len(silent), "layer"), words, "", action, check)
    figure = plural(unanswered, "sample") if unanswered else "none"
    if unanswered:
        words = f"Of {report.samples}, {unanswered} got no answer from {board}."
        status: Status = "fail" if unanswered == report.samples else "warn"
        return Tile(*about, status, figure, words, "", action, check)
    return Tile(
        *about, "pass", figure, f"Every layer spikes on {board}, and every sample has an answer."
    )


def _bar(stated: float | None, otherwise: str) -> str:
    return otherwise if stated is None else f"your bar: {stated:g}"


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _sentence(clause: str) -> str:
    return f"{_capital(clause)}." if clause else ""
