"""Fewer synaptic operations for little accuracy: which layers may send fewer spikes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from speckflex.analysis.accuracy_model import fit_accuracy, search_settings
from speckflex.analysis.spike_scales import SpikeScale, rescale_program, spike_work, tied_layers
from speckflex.analysis.synops import WINDOW
from speckflex.boards.twin import Twin
from speckflex.errors import ComparisonError, ConversionError
from speckflex.recordings.measures import Gain, alternate, paired_gain

if TYPE_CHECKING:
    from speckflex.program.program import Program

__all__ = [
    "SCALES",
    "LayerTuning",
    "Samples",
    "TuneSettings",
    "Tuning",
    "split_samples",
    "tune_program",
]

Space = Literal["thresholds", "decimation"]

SCALES: dict[str, tuple[SpikeScale, ...]] = {
    "thresholds": tuple(SpikeScale(g) for g in (1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4)),
    "decimation": tuple(SpikeScale(decimation=n) for n in (1, 2, 4, 8)),
}
ROUNDS = 3
MARGIN = 0.93  # of the budget of the round before, where it found nothing inside the budget
MOST_DRAWS = 20  # for each setting that is asked for


@dataclass(frozen=True)
class TuneSettings:
    """How the settings of the layers are found.

    Args:
        budget: load that every core may have, as a share of that of the busiest core before.
        space: "thresholds" or "decimation".
        configurations: number of settings that are measured to fit the model; at least two more
            than layers that can be tuned.
        candidates: number of the best settings by the model that are measured too.
        seed: of the settings that are drawn.
        threads: threads of the twin; None for one per processor.
    """

    budget: float = 0.7
    space: Space = "thresholds"
    configurations: int = 18
    candidates: int = 6
    seed: int = 0
    threads: int | None = None

    @property
    def most_plays(self) -> int:
        """How many plays there are at most."""
        return 3 + self.configurations + ROUNDS * self.candidates


@dataclass(frozen=True, eq=False)
class Samples:
    """Recordings with labels.

    Args:
        events: one stream for each, `t` in µs.
        labels: (sample,) the class of each.
    """

    events: Sequence[np.ndarray]
    labels: np.ndarray


def split_samples(events: Sequence[np.ndarray], labels: np.ndarray) -> tuple[Samples, Samples]:
    """Return the samples that choose, the first, third, ... of each class, and those that judge.

    Args:
        events: one stream for each sample.
        labels: (sample,) the class of each; samples without one, below 0, are left out.
    """
    chooses = alternate(labels)
    parts = [np.flatnonzero(part & (labels >= 0)).tolist() for part in (chooses, ~chooses)]
    first, second = (Samples([events[i] for i in part], labels[part]) for part in parts)
    return first, second


@dataclass(frozen=True)
class LayerTuning:
    """One layer before and after, on the unseen samples.

    Args:
        name: name of the layer.
        scale: what a spike that it sends stands for, in spikes of before.
        threshold: its threshold before and after, in the program's integers.
        spikes: spikes for each sample, the mean, before and after.
        load: synaptic operations per second of its core before and after: the work of a sample
            over the time that its input lasts (at least 10 ms), in the sample where this is
            highest.
        weights_above_threshold: share of its weights that reach its threshold, before and after;
            an event causes at most one spike of a neuron, so above it spikes come late.
    """

    name: str
    scale: float
    threshold: tuple[int, int]
    spikes: tuple[float, float]
    load: tuple[float, float]
    weights_above_threshold: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Tuning:
    """A tuned program, and what it won and lost.

    Args:
        program: the tuned program.
        space: how its spikes became fewer.
        budget: as in `TuneSettings`.
        layers: one entry for each core, on the unseen samples.
        busiest: load of the busiest core before and after, on the unseen samples.
        chosen_on: number of samples that chose the settings.
        chosen_accuracy: accuracy on them before and after.
        gain: accuracy before and after on the unseen samples, in pairs.
        answers: (unseen sample, 2) int64 classes before and after.
        tried: number of settings that were measured.
        model: the fitted model of the accuracy in words, or why there is none.
    """

    program: Program
    space: Space
    budget: float
    layers: tuple[LayerTuning, ...]
    busiest: tuple[float, float]
    chosen_on: int
    chosen_accuracy: tuple[float, float]
    gain: Gain
    answers: np.ndarray
    tried: int
    model: str


Watch = Callable[[int, int], None]


def tune_program(
    program: Program,
    choosing: Samples,
    judging: Samples,
    settings: TuneSettings | None = None,
    *,
    watch: Watch | None = None,
) -> Tuning:
    """Return a program whose busiest core has less to do, and what that costs.

    The settings are the scales of the layers (`rescale_program`). Some are drawn and played on the
    twin; `accuracy = c + sum_i w_i sqrt(spikes_i)` is fitted to them, the form that the MTT paper
    (A.8) has for time steps. A depth-first search finds the best ones by this model under the
    budget of every core; these are played too. Of the settings that were measured inside the budget
    and are within one standard error of the most accurate, the one that changes least is judged
    once on samples that chose nothing. (A restoration: the paper tunes time steps,
    which a chip does not have.)

    Args:
        program: any program with a layer that sends to another one.
        choosing: samples that choose.
        judging: samples that judge; they must not be among the others.
        settings: how it is searched.
        watch: called with the number of plays that are done, and how many there will be at most;
            None for nothing.

    Raises:
        ComparisonError: no setting keeps the budget, or nothing can be tuned.
        EventsError: a sample is no event stream of the input's shape.
    """
    settings = settings or TuneSettings()
    _check(program, (choosing, judging), settings)
    groups = tied_layers(program)
    total = settings.most_plays
    advance = watch or (lambda *_: None)
    bench = _Bench(program, groups, choosing, settings, lambda done: advance(done, total))
    before = bench.measure((0,) * len(groups))
    assert before is not None  # noqa: S101 - the program as it is
    limit = settings.budget * float(before.load.max())
    bench.check_budget(before, limit)
    bench.draw()
    model = bench.search(limit)
    best = bench.best(limit)
    if best is None:
        raise ComparisonError(
            f"no setting that was tried keeps {settings.budget:g} of the busiest core's load: give"
            " a larger budget, or measure more configurations"
        )
    scales = bench.scales(best.choices)
    tuned = rescale_program(program, scales)
    judged = [
        _play(one, of, judging, settings.threads)
        for one, of in ((program, bench.scales(before.choices)), (tuned, scales))
    ]
    advance(total, total)
    words = ", ".join(f"{c.name} x{s.worth:g}" for c, s in zip(program.cores, scales, strict=True))
    metadata = {**program.metadata, "tuned": f"{settings.space}: {words}"}
    return Tuning(
        program=replace(tuned, metadata=metadata),
        space=settings.space,
        budget=settings.budget,
        layers=_layers(program, tuned, scales, judged),
        busiest=(float(judged[0].load.max()), float(judged[1].load.max())),
        chosen_on=len(choosing.labels),
        chosen_accuracy=(before.accuracy, best.accuracy),
        gain=paired_gain(*(played.answers == judging.labels for played in judged)),
        answers=np.stack([played.answers for played in judged], axis=1),
        tried=len(bench.measured),
        model=model,
    )


def _check(program: Program, parts: Sequence[Samples], settings: TuneSettings) -> None:
    if not 0 < settings.budget < 1:
        raise ComparisonError(
            f"a budget of {settings.budget:g} is no share above 0 and below 1 of the busiest core's"
            " load: give such as 0.7"
        )
    n_layers = len(tied_layers(program))
    if not n_layers:
        raise ComparisonError(
            "no layer of the program sends spikes that could be fewer: give a network of two or"
            " more layers in a row"
        )
    if settings.configurations < n_layers + 2:
        raise ComparisonError(
            f"{settings.configurations} configurations are too few for {n_layers} layers: measure"
            f" {n_layers + 2} or more"
        )
    if any(not len(part.labels) or (part.labels < 0).any() for part in parts):
        raise ComparisonError(
            "tuning needs samples with labels, some that choose and others that judge: give more"
            " recordings, sorted into a folder for each class"
        )


@dataclass(frozen=True, eq=False)
class _Played:
    """One program on samples.

    Args:
        answers: (sample,) int64 classes, -1 without one.
        accuracy: share that is right.
        spikes: (core,) float64 spikes for each sample, the mean.
        load: (core,) float64 synaptic operations per second in the sample with most.
        choices: position of each group's scale in the space.
    """

    answers: np.ndarray
    accuracy: float
    spikes: np.ndarray
    load: np.ndarray
    choices: tuple[int, ...] = ()


def _play(
    program: Program, scales: Sequence[SpikeScale], samples: Samples, threads: int | None
) -> _Played:
    """Play a program on the twin and measure what its cores have to do."""
    with Twin(threads=threads) as twin:
        twin.load(program)
        recording = twin.play(samples.events, keep_events=False)
    lasting = [max(WINDOW, int(np.ptp(one["t"])) if len(one) else 0) for one in samples.events]
    synops = np.zeros((len(lasting), len(program.cores)))
    sources = [(_pixel_counts(program, samples.events), -1, 1)]
    sources += [
        (recording.counts(index), index, scale.decimation) for index, scale in enumerate(scales)
    ]
    for counts, index, decimation in sources:
        flat = counts.reshape(len(counts), -1)
        for target, work in spike_work(program, index).items():
            synops[:, target] += flat @ work.ravel() / decimation
    answers = recording.answers()
    return _Played(
        answers=answers,
        accuracy=float((answers == samples.labels).mean()),
        spikes=np.array([record.counts.sum() / len(lasting) for record in recording.layers]),
        load=(synops / (np.array(lasting)[:, None] / 1e6)).max(axis=0),
    )


def _pixel_counts(program: Program, events: Sequence[np.ndarray]) -> np.ndarray:
    """Return (sample, channel, y, x) int64 events of each pixel."""
    counts = np.zeros((len(events), *program.input.shape), np.int64)
    for sample, stream in enumerate(events):
        np.add.at(counts[sample], (stream["p"], stream["y"], stream["x"]), 1)
    return counts


class _Bench:
    """The settings that were measured so far."""

    def __init__(
        self,
        program: Program,
        groups: Sequence[tuple[int, ...]],
        samples: Samples,
        settings: TuneSettings,
        advance: Callable[[int], None],
    ) -> None:
        self.program, self.groups, self.samples = program, groups, samples
        self.settings, self.advance = settings, advance
        self.space = SCALES[settings.space]
        self.measured: dict[tuple[int, ...], _Played] = {}

    def scales(self, choices: Sequence[int]) -> list[SpikeScale]:
        """Return the scale of every core."""
        scales = [SpikeScale()] * len(self.program.cores)
        for group, choice in zip(self.groups, choices, strict=True):
            for index in group:
                scales[index] = self.space[choice]
        return scales

    def measure(self, choices: tuple[int, ...]) -> _Played | None:
        """Play a setting, once; None if its integers do not fit."""
        if choices not in self.measured:
            scales = self.scales(choices)
            try:
                program = rescale_program(self.program, scales)
            except ConversionError:
                return None
            played = _play(program, scales, self.samples, self.settings.threads)
            self.measured[choices] = replace(played, choices=choices)
            self.advance(len(self.measured))
        return self.measured[choices]

    def check_budget(self, before: _Played, limit: float) -> None:
        """Refuse a budget that the input alone exceeds.

        Raises:
            ComparisonError: it does.
        """
        tunable = {
            destination.core
            for group in self.groups
            for index in group
            for destination in self.program.cores[index].destinations
        }
        for index, core in enumerate(self.program.cores):
            if index not in tunable and before.load[index] > limit:
                least = before.load[index] / before.load.max()
                raise ComparisonError(
                    f"core {core.name}: its input alone asks for {before.load[index]:.3g} synaptic"
                    f" operations per second, {least:.2f} of the busiest core's load, which no"
                    " threshold changes: give a budget above that, or fewer input events"
                )

    def draw(self) -> None:
        """Measure settings that are drawn at random."""
        rng = np.random.default_rng(self.settings.seed)
        wanted = min(self.settings.configurations, len(self.space) ** len(self.groups))
        for _ in range(MOST_DRAWS * wanted):
            if len(self.measured) >= wanted:
                return
            self.measure(tuple(rng.integers(0, len(self.space), len(self.groups)).tolist()))

    def search(self, limit: float) -> str:
        """Measure the best settings by the model until one keeps the budget; return the model."""
        budget, words = limit, ""
        for _ in range(ROUNDS):
            amounts, costs = self._predicted()
            values, words = self._values(amounts)
            for choices in search_settings(
                values,
                costs,
                np.full(len(self.program.cores), budget),
                n_best=self.settings.candidates,
            ):
                self.measure(choices)
            if self.best(limit) is not None:
                break
            budget *= MARGIN
        return words

    def best(self, limit: float) -> _Played | None:
        """Return the setting inside the budget that changes least, of those that are accurate.

        Accurate are those within one standard error of the best (Breiman et al. 1984): the best
        of many is partly the best by chance.
        """
        inside = [one for one in self.measured.values() if one.load.max() <= limit]
        most = max((one.accuracy for one in inside), default=0.0)
        error = float(np.sqrt(most * (1 - most) / len(self.samples.labels)))
        accurate = [one for one in inside if one.accuracy >= most - error]
        return min(accurate, key=lambda one: (self._change(one), one.load.max()), default=None)

    def _change(self, played: _Played) -> float:
        """Return how much more the spikes of all layers are worth, as a sum of logarithms."""
        worths = [self.space[choice].worth for choice in played.choices]
        return round(float(np.log(worths).sum()), 9)

    def _predicted(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (group, choice) spikes, and (group, choice, core) loads, by what was measured.

        Both fall as a power of what a spike is worth.
        """
        played = list(self.measured.values())
        worth = np.log([scale.worth for scale in self.space])
        spikes = np.zeros((len(self.groups), len(self.space)))
        loads = np.zeros((*spikes.shape, len(self.program.cores)))
        for place, group in enumerate(self.groups):
            chosen = worth[[one.choices[place] for one in played]]
            spikes[place] = _power_law(
                chosen, np.array([one.spikes[list(group)].sum() for one in played]), worth
            )
            for target in {
                d.core for index in group for d in self.program.cores[index].destinations
            }:
                seen = np.array([one.load[target] for one in played])
                loads[place, :, target] = _power_law(chosen, seen, worth)
        return spikes, loads

    def _values(self, amounts: np.ndarray) -> tuple[np.ndarray, str]:
        """Return (group, choice) what each choice adds to the accuracy, and the model in words."""
        played = list(self.measured.values())
        seen = np.array(
            [[one.spikes[list(group)].sum() for group in self.groups] for one in played]
        )
        names = ["+".join(self.program.cores[i].name for i in group) for group in self.groups]
        try:
            model = fit_accuracy(
                seen,
                np.array([one.accuracy for one in played]),
                samples=len(self.samples.labels),
                rising=True,
            )
        except ComparisonError as error:
            # then the least change is the best guess
            worth = np.log([scale.worth for scale in self.space])
            return np.tile(-worth, (len(self.groups), 1)), f"no model of the accuracy: {error}"
        terms = [f"{w:.3g} sqrt({name})" for w, name in zip(model.weights, names, strict=True)]
        words = f"accuracy = {model.constant:.3g} + {' + '.join(terms)}"
        words += f", root mean square residue {100 * model.residual:.2f} points"
        return model.weights[:, None] * np.sqrt(amounts), words


def _power_law(worth: np.ndarray, seen: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Return `seen` as a power of the worth of a spike, at what is asked; logarithms of worth."""
    if not seen.all() or not np.ptp(worth):
        return np.full(len(asked), seen.mean())
    slope, start = np.polyfit(worth, np.log(seen), 1)
    return np.exp(start + slope * asked)


def _layers(
    program: Program, tuned: Program, scales: Sequence[SpikeScale], judged: Sequence[_Played]
) -> tuple[LayerTuning, ...]:
    return tuple(
        LayerTuning(
            name=core.name,
            scale=scale.worth,
            threshold=(core.threshold_high, other.threshold_high),
            spikes=(float(judged[0].spikes[index]), float(judged[1].spikes[index])),
            load=(float(judged[0].load[index]), float(judged[1].load[index])),
            weights_above_threshold=(
                float((core.weights >= core.threshold_high).mean()),
                float((other.weights >= other.threshold_high).mean()),
            ),
        )
        for index, (core, other, scale) in enumerate(
            zip(program.cores, tuned.cores, scales, strict=True)
        )
    )
