"""Accuracy: how often each recording names the right class."""

# Annotations are evaluated here, see `speckflex.report.facts`.

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from markupsafe import Markup

from speckflex.recordings.compare import measure_accuracy
from speckflex.recordings.tally import Tally
from speckflex.report._blocks import Block, Drawing, Matrices, Matrix, Table, Text
from speckflex.report._section import Section
from speckflex.report.charts._svg import Canvas, disc, label, line, shortened
from speckflex.report.evidence import Evidence
from speckflex.report.facts import AccuracyFacts, Facts
from speckflex.report.spelling import interval, percent, plural

__all__ = ["AXIS", "Accuracies", "accuracy_chart", "interval_row", "percent_axis"]

ROLES = ("torch", "twin", "chip")  # always named in report.json
MOST_CLASSES = 20  # of a confusion matrix on the page
AXIS = 22  # height of the percentages below a chart


@dataclass(frozen=True)
class Accuracies(Section):
    """How often each recording names the right class; "torch", "twin" and "chip" always appear.

    Args:
        accuracy: share of the labelled samples classified right by role, 0 to 1; "torch" is the
            network as it was given; a sample without an answer is not right; null without a
            recording or labels.
        accuracy_interval: lower and upper end of its 95 % Wilson interval, by role.
        accuracy_per_class: share of each class's samples that were classified right, by role;
            null for a class without samples.
        confusion: number of samples with an answer by true class and predicted class, by role.
        silent_outputs: number of samples in which the last layer scores no class, by role; they
            have no answer, which is not right and agrees with nothing.
    """

    anchor = "accuracy"
    title = "Accuracy"

    accuracy: Mapping[str, float | None]
    accuracy_interval: Mapping[str, tuple[float, float] | None]
    accuracy_per_class: Mapping[str, tuple[float | None, ...] | None]
    confusion: Mapping[str, tuple[tuple[int, ...], ...] | None]
    silent_outputs: Mapping[str, int]

    @classmethod
    def collect(cls, evidence: Evidence) -> "Accuracies":
        """Return how often each role is right, and how often its output is silent."""
        tallies, labels = evidence.tallies, evidence.labels
        found: dict[str, AccuracyFacts | None] = dict.fromkeys(ROLES)
        found |= {
            role: AccuracyFacts.of(measure_accuracy(tally, labels))
            for role, tally in tallies.items()
        }
        return cls(
            accuracy={role: value and value.share for role, value in found.items()},
            accuracy_interval={role: value and value.interval for role, value in found.items()},
            accuracy_per_class={role: value and value.per_class for role, value in found.items()},
            confusion={role: value and value.confusion for role, value in found.items()},
            silent_outputs={r: _silent_outputs(one) for r, one in tallies.items() if one.n_classes},
        )

    @property
    def known(self) -> list[tuple[str, float, tuple[float, float]]]:
        """(role, accuracy, interval) of the recordings whose accuracy is known."""
        intervals = self.accuracy_interval
        return [
            (role, share, interval)
            for role, share in self.accuracy.items()
            if share is not None and (interval := intervals[role]) is not None
        ]

    @property
    def beside_the_ladder(self) -> list[tuple[str, float, tuple[float, float]]]:
        """Those of `known` that are no step of the ladder."""
        return [one for one in self.known if one[0] not in ROLES]

    def blocks(self, facts: Facts) -> list[Block]:
        """Return the table of the accuracies that the ladder does not show."""
        rows = [
            [facts.name_of(role).removeprefix("the "), percent(share), interval(bounds)]
            for role, share, bounds in self.beside_the_ladder
        ]
        headings = ["recording", "accuracy", "95 % interval"]
        return [Table("Share of samples classified right", headings, rows)] if rows else []

    def page(self, facts: Facts) -> list[Block]:
        """Return chart, table and confusion matrices."""
        if not self.known:
            words = "The samples have no labels, or the last layer was not monitored"
            return [Text(f"{words}: there is no accuracy to show.")]
        blocks: list[Block] = []
        if self.beside_the_ladder:
            chart = partial(accuracy_chart, self, facts)
            blocks = [Drawing("Chart of the accuracies", chart), *self.blocks(facts)]
        if facts.agreement is not None and facts.compared and facts.reference:
            both = f"{facts.opening(facts.compared)} and {facts.name_of(facts.reference)}"
            share = percent(facts.agreement)
            words = f"{both} name the same class in {share} of {plural(facts.samples, 'sample')}."
            blocks.append(Text(f"{words} A sample without an answer is no agreement."))
        return [*blocks, *self._matrices(facts)]

    def _matrices(self, facts: Facts) -> list[Block]:
        known = {role: matrix for role, matrix in self.confusion.items() if matrix}
        small = [
            Matrix(
                f"Confusion matrix of {facts.name_of(role)}",
                "true class down, predicted class across",
                _class_names(facts, len(matrix)),
                matrix,
            )
            for role, matrix in known.items()
            if len(matrix) <= MOST_CLASSES
        ]
        large = [
            Text(
                f"The confusion matrix of {facts.name_of(role)} has {len(matrix)} classes; it is in"
                " report.json."
            )
            for role, matrix in known.items()
            if len(matrix) > MOST_CLASSES
        ]
        return [Matrices(small), *large]


def accuracy_chart(accuracies: Accuracies, facts: Facts, canvas: Canvas) -> Markup:
    """Return each recording's accuracy as a point with its 95 % interval."""
    known = accuracies.known
    marks = []
    for row, (role, share, (low, high)) in enumerate(known):
        marks += interval_row(canvas, row, shortened(facts.name_of(role)), (low, high))
        y = canvas.row * row + canvas.middle
        marks.append(disc(canvas.across(share), y, 6, f"mark {role}"))
    marks += percent_axis(canvas, len(known))
    words = "; ".join(f"{facts.name_of(role)} {percent(share)}" for role, share, _ in known)
    height = canvas.row * len(known) + AXIS
    return canvas.drawing(height, f"Accuracy with 95 % Wilson intervals: {words}", marks)


def interval_row(canvas: Canvas, row: int, name: str, bounds: tuple[float, float]) -> list[Markup]:
    """Return name, axis and interval of one row of a chart of shares."""
    y, (low, high) = canvas.row * row + canvas.middle, bounds
    return [
        canvas.name(canvas.row * row, name),
        line(canvas.across(0), y, canvas.across(1), y, "axis"),
        line(canvas.across(low), y, canvas.across(high), y, "interval"),
    ]


def percent_axis(canvas: Canvas, n_rows: int) -> list[Markup]:
    """Return the percentages below the rows of a chart of shares."""
    y = canvas.row * n_rows + AXIS - 4
    ends: dict[float, str] = {0: "start", 1: "end"} if canvas.names_above else {}
    return [
        label(canvas.across(tick), y, f"{100 * tick:.0f} %", anchor=anchor, kind="small")
        for tick in (0, 0.25, 0.5, 0.75, 1)
        for anchor in [ends.get(tick, "middle")]
    ]


def _silent_outputs(tally: Tally) -> int:
    """Return the number of samples in which the last layer scores no class."""
    return int((tally.answers() < 0).sum())


def _class_names(facts: Facts, n_classes: int) -> Sequence[str]:
    """Return the names of the classes where the data set names as many, else their numbers."""
    names = facts.run.data.classes if facts.run else ()
    return names if len(names) == n_classes else [str(number) for number in range(n_classes)]
