"""Several runs over time: which figures became worse, beyond what chance or the board does."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Literal

from speckflex.errors import ComparisonError
from speckflex.recordings.measures import sign_test
from speckflex.report.spelling import millions, percent, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from speckflex.report.record import Report
    from speckflex.report.sections._per_sample import OneAnswer

__all__ = ["Figure", "Run", "Trend", "trend_of_reports"]

Judgement = Literal["worse", "better", "same", "not judged"]
Unit = Literal["share", "rate", "number"]

CHANCE = 0.05  # p-value from which on a change may be chance


@dataclass(frozen=True)
class Run:
    """One of the runs.

    Args:
        name: of its file.
        started: when it was made, "" where it is not known.
        about: what ran, in a few words.
        samples: number of samples; None where it is not known.
    """

    name: str
    started: str
    about: str
    samples: int | None


@dataclass(frozen=True)
class Figure:
    """One figure of every run.

    Args:
        name: what it is.
        values: one per run; None where the run does not have it.
        unit: "share" for a fraction, "rate" for operations per second, else "number".
        judgement: of the last run against the first.
        reason: what the judgement rests on.
    """

    name: str
    values: tuple[float | None, ...]
    unit: Unit = "number"
    judgement: Judgement = "not judged"
    reason: str = ""

    @property
    def change(self) -> str:
        """From where to where it went, and what the judgement rests on."""
        ends = f"from {self.spelled(self.values[0])} to {self.spelled(self.values[-1])}"
        return f"{ends} ({self.reason})"

    def spelled(self, value: float | None) -> str:
        """Return a value of this figure in words."""
        if value is None:
            return "-"
        spell = {"share": percent, "rate": millions}.get(self.unit)
        return spell(value) if spell else f"{value:.6g}"


@dataclass(frozen=True)
class Trend:
    """The figures of several runs, in the order in which they were given.

    Args:
        runs: the runs.
        figures: their figures.
        paired: whether the first and the last run have the same samples.
    """

    runs: tuple[Run, ...]
    figures: tuple[Figure, ...]
    paired: bool

    @property
    def regressions(self) -> tuple[str, ...]:
        """A sentence for each figure that became worse."""
        return tuple(
            f"{one.name} went {one.change}" for one in self.figures if one.judgement == "worse"
        )

    @property
    def summary(self) -> str:
        """How many figures became worse."""
        runs = f"{self.runs[-1].name} against {self.runs[0].name}"
        judged = [one for one in self.figures if one.judgement != "not judged"]
        better = sum(one.judgement == "better" for one in judged)
        if not judged:
            return f"{runs}: no figure is judged, since nothing says how far chance moves them."
        samples = "" if self.paired else ", over other samples"
        count = f"{len(self.regressions)} of {plural(len(judged), 'judged figure')}"
        return f"{runs}{samples}: {count} became worse, {better} better."

    @property
    def verdict(self) -> str:
        """What a reader should take away."""
        found = [f"{sentence[:1].upper()}{sentence[1:]}." for sentence in self.regressions]
        return " ".join([self.summary, *found])


def trend_of_reports(reports: Mapping[str, Report]) -> Trend:
    """Return the figures of reports, and which became worse from the first to the last.

    Where both have the same samples, answers are compared sample by sample (exact sign test). Where
    not, the accuracies are compared by Newcombe's interval, and a spike difference only by the
    noise floor. A change of a spike difference within the noise floor of either board is none.

    Args:
        reports: by the names of their files, in the order of time.

    Raises:
        ComparisonError: there are fewer than two reports.
    """
    if len(reports) < 2:
        raise ComparisonError(
            f"{len(reports)} report given: a trend needs two or more, in the order of time"
        )
    found = list(reports.values())
    ends = (found[0], found[-1])
    paired = _same_samples(*ends)
    figures = [
        *(_accuracy(role, found, paired=paired) for role in _roles(found)),
        *_steps(found),
        _difference(found, paired=paired),
        *_layers(found),
        _counted("silent layers", found, lambda report: float(len(report.silent_layers))),
        _unanswered(found, paired=paired),
        _counted("events known to be lost", found, lambda report: float(report.lost_events)),
        _load(found),
        _synops(found),
        _counted("stated bars missed", found, lambda report: float(len(report.missed))),
    ]
    runs = tuple(_run(name, report) for name, report in reports.items())
    return Trend(
        runs, tuple(one for one in figures if any(v is not None for v in one.values)), paired
    )


def _run(name: str, report: Report) -> Run:
    provenance = report.origins.provenance.get(report.played)
    model = report.run.model if report.run else "recordings"
    about = f"{model}, program {report.program.sha256[:12]}, {report.board}"
    return Run(name, provenance.started if provenance else "", about, report.samples)


def _same_samples(first: Report, last: Report) -> bool:
    """Return whether two reports are of the same recordings, as far as they say."""
    names = [report.run.data.name if report.run else "" for report in (first, last)]
    labels = [[one.label for one in r.samples_alone.per_sample] for r in (first, last)]
    written = [r.origins.played_samples[r.played].written for r in (first, last)]
    return all(a == b for a, b in (names, labels, written))


def _roles(reports: Sequence[Report]) -> list[str]:
    """Return the roles whose accuracy any report knows."""
    roles = [
        role for report in reports for role, share in report.accuracies.accuracy.items() if share
    ]
    return list(dict.fromkeys(roles))


def _accuracy(role: str, reports: Sequence[Report], *, paired: bool) -> Figure:
    values = tuple(report.accuracies.accuracy.get(role) for report in reports)
    name = f"accuracy of {reports[-1].name_of(role)}"
    first, last = values[0], values[-1]
    if first is None or last is None:
        return Figure(name, values, "share")
    if paired:
        changed = _changed(reports[0], reports[-1], lambda one: _is_right(one, role))
        judgement, reason = _by_signs(*changed, "answers right in one run alone")
        return Figure(name, values, "share", judgement, reason)
    labelled = [_labelled(report) for report in (reports[0], reports[-1])]
    shares = [report.accuracies.accuracy_interval[role] for report in (reports[0], reports[-1])]
    if None in shares or not all(labelled):
        return Figure(name, values, "share")
    (low_a, high_a), (low_b, high_b) = shares[0] or (0, 1), shares[1] or (0, 1)
    # Newcombe (1998), method 10: the interval of a difference from two Wilson intervals
    change = last - first
    low = change - sqrt((last - low_b) ** 2 + (high_a - first) ** 2)
    high = change + sqrt((high_b - last) ** 2 + (first - low_a) ** 2)
    judgement: Judgement = "worse" if high < 0 else "better" if low > 0 else "same"
    reason = (
        f"other samples; 95 % interval of the change {100 * low:+.1f} to {100 * high:+.1f} points"
    )
    return Figure(name, values, "share", judgement, reason)


def _labelled(report: Report) -> int:
    return sum(one.label is not None for one in report.samples_alone.per_sample)


def _is_right(one: OneAnswer, role: str) -> bool | None:
    """Return whether an answer is right; None where nothing says so."""
    if one.label is None or role not in one.answers:
        return None
    return one.answers[role].answer == one.label


def _changed(
    first: Report, last: Report, good: Callable[[OneAnswer], bool | None]
) -> tuple[int, int]:
    """Return how many samples were good in the first report alone, and in the last alone."""
    pairs = [
        (good(a), good(b))
        for a, b in zip(first.samples_alone.per_sample, last.samples_alone.per_sample, strict=True)
    ]
    worse = sum(bool(a) and b is False for a, b in pairs)
    return worse, sum(a is False and bool(b) for a, b in pairs)


def _by_signs(worse: int, better: int, what: str) -> tuple[Judgement, str]:
    """Return a judgement of paired samples, and what it rests on."""
    p = sign_test(worse, better)
    reason = f"same samples, {what}: {worse} before, {better} now, p = {p:.2g}"
    if p >= CHANCE:
        return "same", reason
    return ("worse" if worse > better else "better"), reason


def _steps(reports: Sequence[Report]) -> list[Figure]:
    """Return the accuracies of the steps that no recording of a role stands for."""
    steps = ("folded", "eight-bit")
    found = []
    for step in steps:
        values = tuple(
            next((rung.accuracy for rung in report.steps.ladder if rung.step == step), None)
            for report in reports
        )
        names = {"folded": "folded", "eight-bit": "in 8 bits and time steps"}
        found.append(Figure(f"accuracy {names[step]}", values, "share"))
    return found


def _difference(reports: Sequence[Report], *, paired: bool) -> Figure:
    name, values = "spike difference", tuple(report.spike_difference for report in reports)
    first, last = values[0], values[-1]
    if first is None or last is None:
        gone = first is not None and last is None
        reason = "it has no value any more: nothing spikes" if gone else ""
        return Figure(name, values, "share", "worse" if gone else "not judged", reason)
    floors = [report.noise_floor for report in (reports[0], reports[-1])]
    floor = max((one for one in floors if one is not None), default=None)
    change = last - first
    if floor is not None and abs(change) <= floor:
        return Figure(name, values, "share", "same", f"within the noise floor of {percent(floor)}")
    if paired:
        pairs = zip(
            (one.spike_difference for one in reports[0].samples_alone.per_sample),
            (one.spike_difference for one in reports[-1].samples_alone.per_sample),
            strict=True,
        )
        both = [(a, b) for a, b in pairs if a is not None and b is not None]
        up, down = sum(b > a for a, b in both), sum(b < a for a, b in both)
        judgement, reason = _by_signs(up, down, "smaller in one run alone")
        if (change > 0) != (judgement == "worse") and judgement != "same":
            judgement = "same"
        return Figure(name, values, "share", judgement, reason)
    if floor is None:
        return Figure(name, values, "share", "not judged", "other samples, and no noise floor")
    judgement = "worse" if change > 0 else "better"
    return Figure(name, values, "share", judgement, f"beyond the noise floor of {percent(floor)}")


def _layers(reports: Sequence[Report]) -> list[Figure]:
    """Return the spike difference of each layer; no sample tells how far chance moves it."""
    names = dict.fromkeys(layer.name for report in reports for layer in report.layers)
    return [
        Figure(
            f"spike difference of layer {name}",
            tuple(
                next((one.spike_difference for one in r.layers if one.name == name), None)
                for r in reports
            ),
            "share",
        )
        for name in names
    ]


def _counted(
    name: str, reports: Sequence[Report], count: Callable[[Report], float | None]
) -> Figure:
    """Return a number of which each more is worse."""
    values = tuple(count(report) for report in reports)
    first, last = values[0], values[-1]
    if first is None or last is None:
        return Figure(name, values)
    judgement: Judgement = "worse" if last > first else "better" if last < first else "same"
    return Figure(name, values, judgement=judgement, reason="counted")


def _unanswered(reports: Sequence[Report], *, paired: bool) -> Figure:
    name = "samples without an answer"
    values = tuple(
        float(report.accuracies.silent_outputs.get(report.played, 0)) for report in reports
    )
    if not paired:
        return Figure(name, values, reason="other samples")

    def answered(one: OneAnswer) -> bool | None:
        given = one.answers.get("chip", one.answers.get("twin"))
        return None if given is None else given.answer is not None

    changed = _changed(reports[0], reports[-1], answered)
    judgement, reason = _by_signs(*changed, "answered in one run alone")
    return Figure(name, values, "number", judgement, reason)


def _load(reports: Sequence[Report]) -> Figure:
    name = "cores that do not keep up"
    return _counted(
        name,
        reports,
        lambda report: (
            None
            if report.core_loads is None
            else float(sum(not layer.passed for layer in report.core_loads.load))
        ),
    )


def _synops(reports: Sequence[Report]) -> Figure:
    values = []
    for report in reports:
        each = [
            layer.synops.per_inference
            for layer in report.layers
            if layer.synops is not None and layer.synops.per_inference is not None
        ]
        values.append(sum(each) if each else None)
    return Figure("synaptic operations per inference", tuple(values))
