"""Early exit: how soon the output can be read, and what has been spent by then."""

# Annotations are evaluated here, see `speckflex.report.facts`.

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from markupsafe import Markup

from speckflex.analysis.exit_curves import (
    ExitPoint,
    ExitStudy,
    StepPoint,
    cut_at,
    study_exits,
    study_steps,
)
from speckflex.recordings.measures import Gain, wilson_interval
from speckflex.report._blocks import Block, Drawing, Opened, Table, Text
from speckflex.report._section import Section
from speckflex.report.charts._svg import Canvas, disc, label, line
from speckflex.report.evidence import Evidence
from speckflex.report.facts import Facts
from speckflex.report.spelling import interval, milliseconds, percent, plural, points

__all__ = ["AccuracyAt", "EarlyExits"]

HEIGHT = 220  # of the curve
RULES = {"time": "fixed time", "margin": "margin", "posterior": "posterior"}
COLOURS = {"time": "", "margin": "twin", "posterior": "torch"}
TICKS = 4


@dataclass(frozen=True)
class AccuracyAt:
    """The accuracy of the board if its output is read up to a stated time.

    Args:
        time: µs after the first input event.
        accuracy: share of the labelled samples classified right, 0 to 1; a sample without a spike
            by then is not right.
        interval: lower and upper end of its 95 % Wilson interval.
        samples: number of labelled samples.
    """

    time: int
    accuracy: float
    interval: tuple[float, float]
    samples: int


@dataclass(frozen=True)
class EarlyExits(Section):
    """How soon the output can be read.

    Args:
        early_exit: accuracy over time and the chosen rules, by the role of each board; empty
            without labels.
        early_exit_in_steps: SEENN-I on torch in time steps, judged on the half that did not
            calibrate it; empty without torch. It says nothing about a chip.
        early_exit_steps_scale: its temperature, spikes in a time step.
        accuracy_at: accuracy at the time of the bar; null where none was stated or known.
        early_exit_reason: why nothing was measured, "" where something was.
    """

    anchor = "early-exit"
    title = "Early exit"

    early_exit: Mapping[str, ExitStudy]
    early_exit_in_steps: tuple[StepPoint, ...]
    early_exit_steps_scale: float
    accuracy_at: AccuracyAt | None
    early_exit_reason: str

    @classmethod
    def collect(cls, evidence: Evidence) -> "EarlyExits | None":
        """Return what the outputs over time tell; None where they were not asked for."""
        if not evidence.readings and not evidence.unread:
            return None
        labels = () if evidence.labels is None else evidence.labels
        known = np.flatnonzero(np.asarray(labels, np.int64) >= 0).tolist()
        if evidence.unread or not len(known):
            return cls({}, (), 1.0, None, evidence.unread or "no sample has a label")
        labels = np.asarray(labels)[known]
        studies = {
            role: study_exits([readings[i] for i in known], labels, _n_classes(evidence, role))
            for role, readings in evidence.readings.items()
        }
        scale, points = 1.0, ()
        if evidence.steps:
            scale, points = study_steps(np.concatenate(evidence.steps)[known], labels)
        return cls(studies, points, scale, _accuracy_at(evidence, known, labels), "")

    def blocks(self, facts: Facts) -> list[Block]:
        """Return the chosen rules of each board, and the steps of torch."""
        if self.early_exit_reason:
            return [
                Text(f"How soon the output can be read is not known: {self.early_exit_reason}.")
            ]
        blocks: list[Block] = []
        for role, study in self.early_exit.items():
            blocks += _study_blocks(facts.name_of(role).removeprefix("the "), study)
        if self.accuracy_at is not None:
            at = self.accuracy_at
            words = (
                f"Read up to {milliseconds(at.time)}, {percent(at.accuracy)} of"
                f" {plural(at.samples, 'sample')} are right ({interval(at.interval)})."
            )
            blocks.append(Text(words))
        if self.early_exit_in_steps:
            rows = [
                [f"{one.confidence}", f"{one.mean_steps:.2f}", percent(one.accuracy)]
                for one in self.early_exit_in_steps
            ]
            title = "torch in time steps, stopped by SEENN-I: nothing that a chip does"
            blocks.append(Table(title.capitalize(), ["confidence", "mean T", "right"], rows, title))
        return blocks

    def page(self, facts: Facts) -> list[Block]:
        """Return the curves, the chosen rules, and all points."""
        blocks = self.blocks(facts)
        for role, study in reversed(list(self.early_exit.items())):
            name = facts.name_of(role).removeprefix("the ")
            drawing = Drawing(f"Accuracy over time, {name}", partial(exit_chart, study))
            blocks.insert(0, drawing)
            rows = [
                [RULES[rule], _setting(rule, one.setting), *_cells(one)]
                for rule, curve in study.curves.items()
                for one in curve
            ]
            table = Table(f"All settings, {name}", ["rule", "setting", *CELLS], rows)
            blocks.append(Opened(f"All settings, {name}", [table]))
        return blocks


CELLS = ("right", "mean time", "p95", "rule met", "spikes read", "SynOps", "energy (estimated)")


def _cells(point: ExitPoint) -> list[str]:
    joules = point.joules
    return [
        percent(point.accuracy),
        milliseconds(point.mean_time),
        milliseconds(point.p95_time),
        percent(point.decided, 1),
        f"{point.spikes_read:.1f}",
        "-" if point.synops is None else f"{point.synops:.3g}",
        "-" if joules is None else f"{1e6 * joules[0]:.3g} to {1e6 * joules[1]:.3g} µJ",
    ]


def _setting(rule: str, setting: float) -> str:
    if rule == "time":
        return milliseconds(setting)
    return f"{setting:.0f} spikes" if rule == "margin" else f"{setting:g}"


def _study_blocks(name: str, study: ExitStudy) -> list[Block]:
    judged = [
        [RULES[one.rule], _setting(one.rule, one.judged.setting), *_cells(one.judged)]
        for one in study.choices
    ]
    whole = ["to the end", "-", *_cells(study.to_the_end)]
    title = (
        f"early exit of {name}: settings that {study.chosen_on} samples chose, on the other"
        f" {study.judged_on}; to the end: all {study.samples}"
    )
    table = Table(title.capitalize(), ["rule", "setting", *CELLS], [*judged, whole], title)
    gains = [
        [f"{RULES[one.rule]} - {other}", *_gain_cells(gain)]
        for one in study.choices
        for other, gain in (("fixed time", one.over_time), ("to the end", one.over_all))
        if gain is not None
    ]
    if not gains:
        return [table]
    title = "points of accuracy won, same samples; the fixed time takes as long in the mean"
    words = (
        "Of the settings that lose at most"
        f" {points(100 * study.allowed_loss)} points on the choosing half, the fastest is chosen."
        " A sample in which the rule is never met counts up to its end. Spikes of the twin carry"
        " the time of the input event that caused them. Energy is estimated from published"
        " figures, not measured."
    )
    headings = ["rules", "points", "95 % interval", "p (McNemar)"]
    return [table, Table(title.capitalize(), headings, gains, title), Text(words)]


def _gain_cells(gain: Gain) -> list[str]:
    low, high = (100 * end for end in gain.interval)
    won = 100 * (gain.after - gain.before)
    return [f"{won:+.2f}", f"{low:+.2f} to {high:+.2f}", f"{gain.p_value:.2g}"]


def _n_classes(evidence: Evidence, role: str) -> int:
    return evidence.recordings[role].layers[-1].shape[0]


def _accuracy_at(evidence: Evidence, known: Sequence[int], labels: np.ndarray) -> AccuracyAt | None:
    stated = evidence.bars.min_accuracy_at
    readings = evidence.readings.get(evidence.played)
    if stated is None or readings is None:
        return None
    time = stated[0]
    exits = cut_at([readings[i] for i in known], time, _n_classes(evidence, evidence.played))
    n_right = int((exits.answers == labels).sum())
    return AccuracyAt(
        time, n_right / len(labels), wilson_interval(n_right, len(labels)), len(labels)
    )


def exit_chart(study: ExitStudy, canvas: Canvas) -> Markup:
    """Return accuracy over mean time, a line for each rule."""
    longest = max(study.to_the_end.mean_time, 1.0)
    left, right = canvas.left, canvas.width - canvas.right
    top, bottom = 10.0, HEIGHT - 40.0

    def place(point: ExitPoint) -> tuple[float, float]:
        x = left + (right - left) * min(point.mean_time / longest, 1.0)
        return x, bottom - (bottom - top) * point.accuracy

    marks = _axes(canvas, (top, bottom), longest)
    for row, (rule, curve) in enumerate(study.curves.items()):
        places = [place(one) for one in sorted(curve, key=lambda one: one.mean_time)]
        marks += [line(*one, *two, f"curve {COLOURS[rule]}") for one, two in pairwise(places)]
        marks += [disc(x, y, 3, f"mark {COLOURS[rule]}") for x, y in places]
        y = bottom - 14.0 * (len(study.curves) - row)
        marks.append(disc(right - 96, y - 4, 4, f"mark {COLOURS[rule]}"))
        marks.append(label(right - 86, y, RULES[rule], kind="small"))
    words = _in_words(study.curves["time"])
    return canvas.drawing(HEIGHT, f"Accuracy over mean reading time: {words}", marks)


def _axes(canvas: Canvas, ends: tuple[float, float], longest: float) -> list[Markup]:
    left, right = canvas.left, canvas.width - canvas.right
    top, bottom = ends
    marks = []
    for tick in range(TICKS + 1):
        share = tick / TICKS
        y = bottom - (bottom - top) * share
        marks.append(line(left, y, right, y, "axis"))
        marks.append(label(right + 6, y + 4, f"{100 * share:.0f} %", kind="small"))
        x = left + (right - left) * share
        anchor = "start" if tick == 0 else "end" if tick == TICKS else "middle"
        time = milliseconds(longest * share)
        marks.append(label(x, bottom + 18, time, anchor=anchor, kind="small"))
    words = "mean time until reading stops"
    marks.append(label(right, bottom + 34, words, anchor="end", kind="small"))
    return marks


def _in_words(curve: Sequence[ExitPoint]) -> str:
    chosen = curve[:: max(len(curve) // 5, 1)]
    return "; ".join(f"{milliseconds(one.mean_time)} {percent(one.accuracy)}" for one in chosen)
