"""What early exit wins: accuracy over time for each rule, chosen on one half, judged on another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from speckflex.analysis.early_exit import Margin, Posterior, exit_in_steps, running_counts
from speckflex.analysis.energy import estimate_energy
from speckflex.analysis.readings import read_outputs
from speckflex.errors import ComparisonError
from speckflex.recordings.measures import Gain, alternate, paired_gain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from speckflex.analysis.readings import Reading
    from speckflex.recordings.recording import Recording

__all__ = [
    "ExitChoice",
    "ExitPoint",
    "ExitStudy",
    "StepPoint",
    "accuracy_at",
    "calibrated_scale",
    "cut_at",
    "exits_of",
    "measure_exits",
    "study_exits",
    "study_steps",
]

RuleName = Literal["time", "margin", "posterior"]
ALLOWED_LOSS = 0.01  # of the accuracy, by the setting that is chosen
CUTS = 25  # times of the fixed cut, evenly up to the end of the longest sample
CONFIDENCES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999)
MOST_MARGINS = 25
MOMENTS = 8  # of each sample at which the scale of probabilities is calibrated


@dataclass(frozen=True, eq=False)
class Exits:
    """Where reading stopped in each sample.

    Args:
        times: (sample,) int64 µs from the first input event on; the end where no rule was met.
        answers: (sample,) int64 classes, -1 without a spike.
        spikes: (sample,) int64 output spikes that were read.
        decided: (sample,) bool, whether the rule was met.
    """

    times: np.ndarray
    answers: np.ndarray
    spikes: np.ndarray
    decided: np.ndarray


@dataclass(frozen=True)
class ExitPoint:
    """One setting of a rule, over samples.

    Args:
        setting: of "time" the µs after which reading stops, of "margin" the spikes, of "posterior"
            the probability.
        accuracy: share classified right, 0 to 1; a sample without a spike is not right.
        mean_time: µs until reading stops, the mean; a sample in which the rule is not met counts
            up to its end.
        p95_time: the same, the 95th percentile.
        decided: share of the samples in which the rule was met before the end.
        spikes_read: output spikes that were read, the mean.
        synops: synaptic operations until then, the mean; null where they are not known.
        joules: lower and upper end of the energy until then by published figures, not measured;
            null where the spikes of all layers are not known.
    """

    setting: float
    accuracy: float
    mean_time: float
    p95_time: float
    decided: float
    spikes_read: float
    synops: float | None
    joules: tuple[float, float] | None


@dataclass(frozen=True)
class ExitChoice:
    """A setting that one half of the samples chose, on the other half.

    Args:
        rule: "time", "margin" or "posterior".
        judged: the setting on the half that did not choose it.
        same_time: the fixed time that takes as long in the mean; null for "time" itself.
        over_time: accuracy of the rule beside that of the fixed time, in pairs; null for "time".
        over_all: accuracy of the rule beside that of reading to the end, in pairs.
    """

    rule: RuleName
    judged: ExitPoint
    same_time: ExitPoint | None
    over_time: Gain | None
    over_all: Gain


@dataclass(frozen=True)
class ExitStudy:
    """Early exit of one board.

    Args:
        samples: number of samples with a label.
        chosen_on: number of those that chose the settings: the first, third, ... of each class.
        judged_on: number of the others.
        allowed_loss: accuracy that a setting may lose on the choosing half, 0 to 1; of those that
            lose no more, the one that is fastest in the mean is chosen.
        scale: spikes, of the rule "posterior"; fitted to the choosing half.
        to_the_end: reading to the end, over all samples.
        curves: points over all samples, by rule.
        choices: one for each rule, the fixed time first; empty where a half has no sample.
    """

    samples: int
    chosen_on: int
    judged_on: int
    allowed_loss: float
    scale: float
    to_the_end: ExitPoint
    curves: dict[str, tuple[ExitPoint, ...]]
    choices: tuple[ExitChoice, ...]


@dataclass(frozen=True)
class StepPoint:
    """SEENN-I at one confidence, in time steps; nothing that a chip does.

    Args:
        confidence: probability at which it stops.
        accuracy: share classified right, 0 to 1.
        mean_steps: number of time steps, the mean.
    """

    confidence: float
    accuracy: float
    mean_steps: float


def exits_of(
    readings: Sequence[Reading],
    evidence: Callable[[np.ndarray], np.ndarray],
    thresholds: Sequence[float],
    n_classes: int,
) -> list[Exits]:
    """Return where reading stops at each threshold; `early_exit` stops at the same spikes.

    Args:
        readings: one for each sample.
        evidence: of a rule.
        thresholds: what the evidence has to reach.
        n_classes: number of classes.
    """
    shape = (len(thresholds), len(readings))
    times, answers, n_read = (np.zeros(shape, np.int64) for _ in range(3))
    decided = np.zeros(shape, bool)
    for index, reading in enumerate(readings):
        n_spikes = len(reading.times)
        times[:, index], answers[:, index] = reading.end, -1
        if not n_spikes:
            continue
        counts = running_counts(reading.classes, n_classes)
        first = np.searchsorted(np.maximum.accumulate(evidence(counts)), thresholds)
        met, last = first < n_spikes, np.minimum(first, n_spikes - 1)
        times[met, index] = reading.times[last[met]]
        answers[:, index] = counts.argmax(axis=1)[last]
        n_read[:, index], decided[:, index] = last + 1, met
    return [Exits(*row) for row in zip(times, answers, n_read, decided, strict=True)]


def cut_at(readings: Sequence[Reading], time: float, n_classes: int) -> Exits:
    """Return where reading stops at a fixed time (µs from the first input event on)."""
    ends = np.array([reading.end for reading in readings], np.int64)
    n_read = [int(np.searchsorted(reading.times, time, side="right")) for reading in readings]
    answers = [
        int(np.bincount(reading.classes[:n], minlength=n_classes).argmax()) if n else -1
        for reading, n in zip(readings, n_read, strict=True)
    ]
    times = np.minimum(ends, int(time))
    return Exits(times, np.array(answers, np.int64), np.array(n_read, np.int64), ends > time)


def accuracy_at(
    recording: Recording,
    input_events: Sequence[np.ndarray],
    time: int,
    labels: np.ndarray | None = None,
) -> float | None:
    """Return the accuracy if the output is read up to a time; None if no sample has a label.

    A sample without an output spike by then is not right.

    Args:
        recording: with the spikes of its last layer.
        input_events: the streams that were played, one for each sample.
        time: µs after the first input event of each sample.
        labels: (sample,) the class of each sample, negative for an unknown one; None for the
            recording's own.

    Raises:
        ComparisonError: the last layer is not read by spikes, or they were not kept; or there are
            more or fewer labels or streams than samples.
    """
    readings = read_outputs(recording, input_events)
    given = recording.labels if labels is None else np.asarray(labels)
    sizes = {len(input_events), recording.n_samples, *(() if given is None else (len(given),))}
    if len(sizes) > 1 or len(readings) != recording.n_samples:
        raise ComparisonError(
            f"{recording.n_samples} samples were recorded, {len(readings)} of them with spikes and"
            f" input: give the input and the label of each of them ({sorted(sizes)} given)"
        )
    known = np.zeros(0, bool) if given is None else given >= 0
    if given is None or not known.any():
        return None
    answers = cut_at(readings, time, recording.layers[-1].shape[0]).answers
    return float((answers == given)[known].mean())


def measure_exits(
    readings: Sequence[Reading], labels: np.ndarray, exits: Exits, setting: float
) -> ExitPoint:
    """Return what one setting reaches and takes.

    Args:
        readings: one for each sample, at least one.
        labels: (sample,) the class of each.
        exits: where reading stopped.
        setting: of the rule.
    """
    spent = [reading.spent for reading in readings]
    known = [one for one in spent if one is not None]
    synops = joules = None
    if len(known) == len(readings):
        at = [one.at(time) for one, time in zip(known, exits.times, strict=True)]
        spikes = np.mean([one.spikes[i] for one, i in zip(known, at, strict=True)])
        seconds = max(float(exits.times.mean()), 1.0) / 1e6
        joules = estimate_energy(float(spikes), seconds).joules
        worked = [one.synops[i] for one, i in zip(known, at, strict=True) if one.synops is not None]
        synops = float(np.mean(worked)) if len(worked) == len(readings) else None
    return ExitPoint(
        setting=float(setting),
        accuracy=float((exits.answers == labels).mean()),
        mean_time=float(exits.times.mean()),
        p95_time=float(np.percentile(exits.times, 95)),
        decided=float(exits.decided.mean()),
        spikes_read=float(exits.spikes.mean()),
        synops=synops,
        joules=joules,
    )


def study_exits(readings: Sequence[Reading], labels: np.ndarray, n_classes: int) -> ExitStudy:
    """Return the curves of all rules, and their settings from one half judged on the other.

    Args:
        readings: one for each sample, at least one.
        labels: (sample,) the class of each, 0 or more.
        n_classes: number of classes.
    """
    choosing = alternate(labels)
    known = [reading for reading, chooses in zip(readings, choosing, strict=True) if chooses]
    scale = calibrated_scale(known, labels[choosing], n_classes)
    sweeps: dict[RuleName, list[tuple[float, Exits]]] = {
        rule: list(zip(settings, exits, strict=True))
        for rule, settings, exits in _sweeps(readings, scale, n_classes)
    }
    to_the_end = cut_at(readings, max(reading.end for reading in readings), n_classes)
    curves: dict[str, tuple[ExitPoint, ...]] = {
        rule: tuple(measure_exits(readings, labels, exits, setting) for setting, exits in sweep)
        for rule, sweep in sweeps.items()
    }
    choices: tuple[ExitChoice, ...] = ()
    if choosing.any() and not choosing.all():
        samples = _Samples(readings, labels, choosing, to_the_end, n_classes)
        choices = tuple(samples.choice(rule, sweep) for rule, sweep in sweeps.items())
    return ExitStudy(
        samples=len(readings),
        chosen_on=int(choosing.sum()),
        judged_on=int((~choosing).sum()),
        allowed_loss=ALLOWED_LOSS,
        scale=scale,
        to_the_end=measure_exits(readings, labels, to_the_end, float(to_the_end.times.max())),
        curves=curves,
        choices=choices,
    )


def _sweeps(
    readings: Sequence[Reading], scale: float, n_classes: int
) -> list[tuple[RuleName, Sequence[float], list[Exits]]]:
    longest = max(1, *(reading.end for reading in readings))
    cuts = [longest * (place + 1) / CUTS for place in range(CUTS)]
    most = max(
        (int(_highest_margin(reading, n_classes)) for reading in readings if len(reading.times)),
        default=1,
    )
    margins = np.unique(np.rint(np.geomspace(1, max(most, 1), MOST_MARGINS))).tolist()
    posterior = Posterior(0.5, scale).evidence
    return [
        ("time", cuts, [cut_at(readings, cut, n_classes) for cut in cuts]),
        ("margin", margins, exits_of(readings, Margin(1).evidence, margins, n_classes)),
        ("posterior", CONFIDENCES, exits_of(readings, posterior, CONFIDENCES, n_classes)),
    ]


def _highest_margin(reading: Reading, n_classes: int) -> int:
    return Margin(1).evidence(running_counts(reading.classes, n_classes)).max()


@dataclass(frozen=True, eq=False)
class _Samples:
    """Samples of which some choose a setting and the others judge it."""

    readings: Sequence[Reading]
    labels: np.ndarray
    choosing: np.ndarray
    to_the_end: Exits
    n_classes: int

    def choice(self, rule: RuleName, sweep: Sequence[tuple[float, Exits]]) -> ExitChoice:
        """Return the setting that the one half chooses, on the other."""
        setting, exits = self._chosen(sweep)
        judging = ~self.choosing
        readings = [one for one, judges in zip(self.readings, judging, strict=True) if judges]
        labels = self.labels[judging]
        right, own = self._right(exits), _part(exits, judging)
        fixed = gain = None
        if rule != "time":
            # chosen without a label: the cut that takes as long
            cut = _cut_of_mean(readings, float(own.times.mean()))
            at_cut = cut_at(readings, cut, self.n_classes)
            fixed = measure_exits(readings, labels, at_cut, cut)
            gain = paired_gain(at_cut.answers == labels, right[judging])
        return ExitChoice(
            rule=rule,
            judged=measure_exits(readings, labels, own, setting),
            same_time=fixed,
            over_time=gain,
            over_all=paired_gain(self._right(self.to_the_end)[judging], right[judging]),
        )

    def _chosen(self, sweep: Sequence[tuple[float, Exits]]) -> tuple[float, Exits]:
        """Return the fastest setting whose loss is allowed on the choosing half."""
        full = self._right(self.to_the_end)[self.choosing].mean()
        fit = [
            one for one in sweep if self._right(one[1])[self.choosing].mean() >= full - ALLOWED_LOSS
        ]
        # the strictest setting may stop a little before the end
        return min(fit or sweep[-1:], key=lambda one: one[1].times[self.choosing].mean())

    def _right(self, exits: Exits) -> np.ndarray:
        return exits.answers == self.labels


def _part(exits: Exits, chosen: np.ndarray) -> Exits:
    return Exits(*(values[chosen] for values in vars(exits).values()))


def _cut_of_mean(readings: Sequence[Reading], mean: float) -> float:
    """Return the time (µs) at which reading all samples takes a given mean."""
    ends = np.array([reading.end for reading in readings], np.float64)
    low, high = 0.0, float(ends.max())
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(ends, middle).mean() < mean else (low, middle)
    return high


def calibrated_scale(readings: Sequence[Reading], labels: np.ndarray, n_classes: int) -> float:
    """Return the scale of `Posterior` with the highest likelihood of the labels.

    One number, fitted at a few moments of each sample.

    Args:
        readings: one for each sample; those without spikes tell nothing.
        labels: (sample,) the class of each.
        n_classes: number of classes.
    """
    counts, classes = [], []
    for reading, label in zip(readings, labels, strict=True):
        if len(reading.times):
            running = running_counts(reading.classes, n_classes)
            moments = np.linspace(0, len(running) - 1, MOMENTS + 1).astype(int)[1:]
            counts.append(running[moments])
            classes += [int(label)] * MOMENTS
    if not counts or max(classes) >= n_classes:
        return 1.0
    return _best_scale(np.concatenate(counts).astype(np.float64), np.array(classes))


def _best_scale(values: np.ndarray, classes: np.ndarray) -> float:
    """Return the temperature with the least negative log-likelihood."""
    from scipy.optimize import minimize_scalar  # takes half a second to load

    rows = np.arange(len(values))

    def loss(log_scale: float) -> float:
        logits = values / np.exp(log_scale)
        highest = logits.max(axis=1)
        sums = np.log(np.exp(logits - highest[:, None]).sum(axis=1)) + highest
        return float((sums - logits[rows, classes]).mean())

    bounds = (np.log(1e-2), np.log(max(10 * values.max(), 1.0)))
    found: Any = minimize_scalar(loss, bounds=bounds, method="bounded")
    return float(np.exp(found.x))


def study_steps(outputs: np.ndarray, labels: np.ndarray) -> tuple[float, tuple[StepPoint, ...]]:
    """Return the temperature of SEENN-I from one half, and its points on the other.

    Args:
        outputs: (sample, time, class) output of each time step.
        labels: (sample,) the class of each, 0 or more.
    """
    choosing = alternate(labels)
    n_steps = outputs.shape[1]
    if choosing.all() or labels.max(initial=0) >= outputs.shape[2]:
        return 1.0, ()
    scale = _best_scale(outputs[choosing].mean(axis=1), labels[choosing])
    judged, known = outputs[~choosing], labels[~choosing]
    points = []
    for confidence in CONFIDENCES:
        steps, answers = exit_in_steps(judged, confidence=confidence, scale=scale)
        silent = ~judged.any(axis=(1, 2))
        right = (answers == known) & ~silent
        points.append(StepPoint(confidence, float(right.mean()), float(steps.mean())))
        if points[-1].mean_steps >= n_steps:
            break
    return scale, tuple(points)
