"""The ladder: what each step from the trained network to the chip costs."""

# Annotations are evaluated here, see `speckflex.report.facts`.

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from markupsafe import Markup

from speckflex.recordings.compare import Accuracy, ComparedPart, measure_accuracy
from speckflex.recordings.tally import Tally
from speckflex.report._blocks import Block, Drawing, Table, Terms, Text
from speckflex.report._parts import finite
from speckflex.report._remedies import NO_TRAINING_DATA, Remedies
from speckflex.report._section import Section
from speckflex.report.charts._svg import Canvas, disc, label
from speckflex.report.evidence import Evidence
from speckflex.report.facts import Facts
from speckflex.report.sections._accuracy import AXIS, interval_row, percent_axis
from speckflex.report.spelling import interval, known, percent, plural, points

__all__ = ["Ladder", "Rung", "ladder_chart"]

NAMES = {
    "trained": "as trained",
    "folded": "folded",
    "eight-bit": "8 bits, time steps",
    "twin": "twin, events",
    "chip": "chip",
}
Step = Literal["trained", "folded", "eight-bit", "twin", "chip"]


@dataclass(frozen=True)
class Rung:
    """One step from the trained network to the hardware, against the step before it.

    Args:
        step: "trained": the network as it was given, with its own batch norms and biases, in
            time steps; "folded": without them; "eight-bit": the program's integers in time
            steps; "twin": the same integers event by event; "chip": the board.
        accuracy: share of the labelled samples classified right, 0 to 1; a sample without an
            answer is not right; null without labels.
        spike_difference: `sum |S - S'| / sum S` at the output between this step and the one
            before it, a fraction; null for the first step, and where nothing spikes.
        samples: number of samples.
        labelled: number of these that have a label.
        accuracy_interval: lower and upper end of the 95 % Wilson interval of the accuracy; null
            without labels.
        points_lost: percentage points of accuracy that the step loses, negative where it gains;
            null for the first step and without labels.
        newly_wrong: number of samples that the step before has right and this one wrong; null
            where `points_lost` is.
        newly_right: number of samples that the step before has wrong and this one right; null
            where `points_lost` is.
        before: the step before; null for the first one.
        reference: the step whose spikes are S; null for the first step.
        layer: name of the layer that is compared, the last one that is read by its spikes.
        spikes: spikes of that layer in this step, over all samples.
        unanswered: number of samples in which the last layer scores no class.
        remedy: command that wins the step back; "" where nothing is lost or none is known.
    """

    step: Step
    accuracy: float | None
    spike_difference: float | None
    samples: int
    labelled: int
    accuracy_interval: tuple[float, float] | None
    points_lost: float | None
    newly_wrong: int | None
    newly_right: int | None
    before: str | None
    reference: str | None
    layer: str
    spikes: int
    unanswered: int | None
    remedy: str


@dataclass(frozen=True)
class Ladder(Section):
    """What each step from the trained network to the hardware costs.

    Args:
        ladder: the steps that there are, from the network as it was given to the hardware.
    """

    anchor = "ladder"
    title = "From the trained network to the chip"

    ladder: tuple[Rung, ...]

    @classmethod
    def collect(cls, evidence: Evidence) -> "Ladder":
        """Return the steps of the recordings that there are."""
        labels = next((r.labels for r in evidence.ladder.values() if r.labels is not None), None)
        remedies = evidence.run and Remedies(evidence.run, evidence.command)
        rungs: list[Rung] = []
        before = None
        for step, tally in evidence.ladder.items():
            rungs.append(_rung(step, tally, before, labels, remedies))
            before = _Before(step, tally, evidence.rungs)
        return cls(tuple(rungs))

    def blocks(self, facts: Facts) -> list[Block]:
        """Return the table of the steps, and the commands that win them back."""
        first = next(iter(self.ladder), None)
        if first is None or (first.accuracy is None and self.ladder == (first,)):
            return []
        rows = [
            [
                _name(rung, facts),
                percent(rung.accuracy),
                "-" if rung.accuracy_interval is None else interval(rung.accuracy_interval),
                points(rung.points_lost),
                percent(rung.spike_difference),
                known(rung.spikes),
            ]
            for rung in self.ladder
        ]
        samples = plural(first.samples, "sample")
        title = f"each step against the one before, over {samples}"
        headings = ["step", "accuracy", "95 % interval", "points lost", "spike diff."]
        table = Table(
            f"Accuracy and spike difference of each step against the one before, over {samples}",
            [*headings, "output spikes"],
            rows,
            title,
        )
        remedies = [Text(f"{term}: {command}") for term, command in self._remedies(facts)]
        return [table, *remedies, *self._placeholder()]

    def _placeholder(self) -> list[Block]:
        """Return what a placeholder in the commands stands for, if there is one."""
        has_one = any("TRAINING_DATA" in rung.remedy for rung in self.ladder)
        return [Text(NO_TRAINING_DATA)] if has_one else []

    def _remedies(self, facts: Facts) -> list[tuple[str, str]]:
        """Return what a step loses, and the command that wins it back."""
        found = []
        for rung in self.ladder:
            loss = f"{points(rung.points_lost)} points, spike difference"
            term = f"To win back {_name(rung, facts)} ({loss} {percent(rung.spike_difference)})"
            found += [(term, rung.remedy)] if rung.remedy else []
        return found

    def page(self, facts: Facts) -> list[Block]:
        """Return what the steps are, the chart, and the table with the commands."""
        blocks = self.blocks(facts)
        if not blocks:
            return []
        chart: list[Block] = []
        if any(rung.accuracy is not None for rung in self.ladder):
            draw = partial(ladder_chart, self.ladder, facts)
            chart = [Drawing("Chart of the ladder", draw)]
        remedies = [
            (term, Markup("<code>{}</code>").format(command))
            for term, command in self._remedies(facts)
        ]
        shown: list[Block] = [Text(_explained(self.ladder)), *chart, blocks[0]]
        return [*shown, Terms(remedies), *self._placeholder()] if remedies else shown


@dataclass(frozen=True)
class _Before:
    """A step, and how far the layers of each later step differ from the step before it."""

    step: str
    tally: Tally
    compared: Mapping[str, ComparedPart]

    def difference(self, step: str, layer: int) -> float | None:
        """Return the spike difference of the next step in a layer."""
        found = (one for one in self.compared[step].layers if one.index == layer)
        return next(found).counts.relative_difference


def _rung(
    step: str,
    tally: Tally,
    before: _Before | None,
    labels: np.ndarray | None,
    remedies: Remedies | None,
) -> Rung:
    accuracy = measure_accuracy(tally, labels)
    difference = reference = earlier = None
    output = tally.output
    if before is not None:
        earlier = measure_accuracy(before.tally, labels)
        # Eq. 16: S is the hardware, or the step that stands for it
        reference = step if step in ("twin", "chip") else before.step
        difference = before.difference(step, output.index)
    lost = None if accuracy is None or earlier is None else earlier.share - accuracy.share
    wrong, right = _changed(tally, before, labels, accuracy)
    return Rung(
        step=step,  # pyright: ignore[reportArgumentType] - one of STEPS
        accuracy=accuracy and accuracy.share,
        spike_difference=finite(difference),
        samples=tally.n_samples,
        labelled=0 if accuracy is None else accuracy.samples,
        accuracy_interval=accuracy and accuracy.interval,
        points_lost=None if lost is None else 100 * lost,
        newly_wrong=wrong,
        newly_right=right,
        before=before and before.step,
        reference=reference,
        layer=output.name,
        spikes=output.total,
        unanswered=int((tally.answers() < 0).sum()) if tally.n_classes else None,
        remedy=_remedy(step, remedies, lost, difference),
    )


def _changed(
    tally: Tally, before: _Before | None, labels: np.ndarray | None, accuracy: Accuracy | None
) -> tuple[int | None, int | None]:
    """Return how many samples are newly wrong, and newly right."""
    if before is None or labels is None or accuracy is None:
        return None, None
    now, then = (one.answers() == labels for one in (tally, before.tally))
    known_labels = labels >= 0
    return int((then & ~now & known_labels).sum()), int((now & ~then & known_labels).sum())


def _remedy(
    step: str, remedies: Remedies | None, lost: float | None, difference: float | None
) -> str:
    """Return the command that wins a step back; "" where nothing is lost."""
    has_won = lost is not None and lost < 0
    has_lost = (lost or 0) > 0 or (difference or 0) > 0
    if remedies is None or has_won or not has_lost:
        return ""
    commands = {
        "folded": remedies.finetune("--method mtt"),
        "eight-bit": remedies.finetune("--eight-bit"),
        "twin": remedies.finetune("--method board"),
        "chip": remedies.deploy("--board twin --ensemble 8"),
    }
    return commands.get(step, "")


def _name(rung: Rung, facts: Facts) -> str:
    """Return what a table calls a step; a virtual devkit is not called a chip."""
    if rung.step == "chip":
        return facts.name_of("chip").removeprefix("the ")
    return NAMES[rung.step]


def _explained(ladder: tuple[Rung, ...]) -> str:
    meanings = {
        "trained": "the network as it was given, with its own batch norms and biases, in time"
        " steps",
        "folded": "the same network without batch norms and biases",
        "eight-bit": "the integers of the program in time steps",
        "twin": "the same integers, event by event",
        "chip": "the same program on the board",
    }
    steps = "; ".join(f"“{NAMES[rung.step]}”, {meanings[rung.step]}" for rung in ladder)
    return (
        f"Each step is compared with the one before it. The steps are {steps}. The spike"
        f" difference is Σ|S - S'| / ΣS in layer {ladder[-1].layer}; S is the chip or the twin"
        " where one of the two takes part, else the earlier step. A sample without an answer"
        " counts as wrong."
    )


def ladder_chart(ladder: tuple[Rung, ...], facts: Facts, canvas: Canvas) -> Markup:
    """Return each step's accuracy as a point with its 95 % interval, the points lost beside it."""
    marks = []
    shown = [rung for rung in ladder if rung.accuracy is not None]
    kinds = {"twin": "twin", "chip": "chip"}
    for row, rung in enumerate(shown):
        y = canvas.row * row + canvas.middle
        marks += interval_row(canvas, row, _name(rung, facts), rung.accuracy_interval or (0, 0))
        at = canvas.across(rung.accuracy or 0.0)
        marks.append(disc(at, y, 6, f"mark {kinds.get(rung.step, 'torch')}"))
        if rung.points_lost is not None:
            change = f"{-rung.points_lost + 0.0:+.2f}".replace("-0.00", "+0.00")
            x = canvas.across(1) + 12
            marks.append(label(x, y + 5, f"{change} points", kind="small"))
    marks += percent_axis(canvas, len(shown))
    height = canvas.row * len(shown) + AXIS
    words = "; ".join(f"{_name(rung, facts)} {percent(rung.accuracy)}" for rung in shown)
    return canvas.drawing(
        height, f"Accuracy of each step with 95 % Wilson intervals: {words}", marks
    )
