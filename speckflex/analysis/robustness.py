"""How much a program on the twin withstands: wrong weights, noise of the sensor, lost events."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from speckflex.boards.twin import Twin
from speckflex.chips.formats import WEIGHT_MAX, WEIGHT_MIN
from speckflex.errors import ComparisonError
from speckflex.events.perturbation import Perturbation, perturb
from speckflex.events.streams import MICROSECONDS_PER_SECOND, make_events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.analysis.tuning import Samples
    from speckflex.program.program import Program
    from speckflex.program.records import Shape

__all__ = [
    "LEVELS",
    "NoiseCurve",
    "NoiseKind",
    "NoisePoint",
    "NoiseSettings",
    "add_noise_events",
    "measure_noise",
    "shift_weights",
]

NoiseKind = Literal["weights", "noise events", "lost events"]
LEVELS: dict[str, tuple[float, ...]] = {
    "weights": (1, 2, 4, 8, 16),
    "noise events": (100, 300, 1000, 3000, 10_000, 30_000),
    "lost events": (0.02, 0.05, 0.1, 0.2, 0.4),
}
POINT = 0.01


@dataclass(frozen=True)
class NoiseSettings:
    """How a noise is measured.

    Args:
        levels: 0 or more, see `NoiseCurve`; none for those of `LEVELS`.
        runs: number of runs at each level, at least 1, each with its own draws.
        seed: of the draws.
        threads: threads of the twin; None for one per processor.
    """

    levels: Sequence[float] = ()
    runs: int = 5
    seed: int = 0
    threads: int | None = None


@dataclass(frozen=True)
class NoisePoint:
    """The accuracy at one level of noise.

    Args:
        level: of the noise, see `NoiseCurve`.
        mean: accuracy over the runs, the mean, 0 to 1.
        lowest: in the worst run.
        highest: in the best run.
    """

    level: float
    mean: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class NoiseCurve:
    """The accuracy over the level of one kind of noise, on the twin.

    Args:
        kind: "weights": each 8-bit weight is off by a number that is drawn from -k to k, where the
            level is k. "noise events": so many events a second come from pixels of the whole sensor
            by chance. "lost events": this share of the events is lost.
        plain: accuracy without noise.
        points: one for each level, in ascending order.
        until_a_point: level at which one point of accuracy is lost in the mean, between two levels
            on a line; null if the highest level does not lose it.
        runs: number of runs at each level.
        samples: number of samples in each run.
    """

    kind: str
    plain: float
    points: tuple[NoisePoint, ...]
    until_a_point: float | None
    runs: int
    samples: int


def shift_weights(program: Program, most: int, generator: np.random.Generator) -> Program:
    """Return a program whose weights are each off by a whole number from `-most` to `most`.

    A weight stays in the range of 8 bits. With `most` 0 the program stays as it is.
    """

    def shifted(weights: np.ndarray) -> np.ndarray:
        offsets = generator.integers(-most, most, weights.shape, endpoint=True)
        return np.clip(weights.astype(np.int64) + offsets, WEIGHT_MIN, WEIGHT_MAX)

    cores = tuple(replace(core, weights=shifted(core.weights)) for core in program.cores)
    return replace(program, cores=cores)


def add_noise_events(
    events: np.ndarray, shape: Shape, rate: float, generator: np.random.Generator
) -> np.ndarray:
    """Return the events with others between them, at times and pixels of chance.

    Args:
        events: of one sample, `t` in µs, ascending.
        shape: (channel, y, x) of the sensor.
        rate: noise events per second of the whole sensor; their number is Poisson.
        generator: the source of randomness.
    """
    if not len(events):
        return events
    first, last = int(events["t"].min()), int(events["t"].max())
    n = int(generator.poisson(rate * (last - first) / MICROSECONDS_PER_SECOND))
    channels, height, width = shape
    noise = make_events(
        np.sort(generator.integers(first, last + 1, n)),
        generator.integers(0, width, n),
        generator.integers(0, height, n),
        generator.integers(0, channels, n),
    )
    joined = np.concatenate([events, noise])
    return joined[np.argsort(joined["t"], kind="stable")]


def measure_noise(
    program: Program, samples: Samples, kind: NoiseKind, settings: NoiseSettings | None = None
) -> NoiseCurve:
    """Return the accuracy of a program on the twin over the level of a noise.

    Args:
        program: any program.
        samples: those without a label, below 0, are left out.
        kind: see `NoiseCurve`.
        settings: levels and runs.

    Raises:
        ComparisonError: no sample has a label, or a level makes no sense.
        EventsError: a sample is no event stream of the input's shape.
    """
    settings = settings or NoiseSettings()
    levels = sorted(settings.levels or LEVELS[kind])
    known = np.flatnonzero(samples.labels >= 0).tolist()
    _check(kind, levels, settings.runs, len(known))
    events, labels = [samples.events[i] for i in known], samples.labels[known]

    def accuracy(level: float, run: int) -> float:
        generator = np.random.default_rng((settings.seed, run))
        changed, streams = program, events
        if kind == "weights":
            changed = shift_weights(program, int(level), generator)
        else:
            streams = [_with_noise(one, program, kind, level, generator) for one in events]
        with Twin(threads=settings.threads) as twin:
            twin.load(changed)
            answers = twin.play(streams, monitor=[-1], keep_events=False).answers()
        return float((answers == labels).mean())

    plain = accuracy(0, 0)
    points = []
    for level in levels:
        found = [accuracy(level, run) for run in range(settings.runs if level else 1)]
        points.append(NoisePoint(level, float(np.mean(found)), min(found), max(found)))
    return NoiseCurve(
        kind, plain, tuple(points), _lost_at(plain, points), settings.runs, len(labels)
    )


def _check(kind: NoiseKind, levels: Sequence[float], runs: int, n_samples: int) -> None:
    if not n_samples or runs < 1:
        raise ComparisonError(
            f"{n_samples} samples with a label in {runs} runs have no accuracy: give recordings"
            " sorted into a folder for each class, and at least one run"
        )
    highest = {"weights": float(WEIGHT_MAX), "lost events": 1.0}.get(kind, np.inf)
    wrong = [level for level in levels if not 0 <= level <= highest]
    if kind == "weights":
        wrong += [level for level in levels if level != int(level)]
    if wrong:
        raise ComparisonError(
            f"level {wrong[0]:g} of {kind} makes no sense: give"
            f" {'whole numbers' if kind == 'weights' else 'numbers'} from 0 to {highest:g}"
        )


def _with_noise(
    events: np.ndarray,
    program: Program,
    kind: NoiseKind,
    level: float,
    generator: np.random.Generator,
) -> np.ndarray:
    if kind == "noise events":
        return add_noise_events(events, program.input.shape, level, generator)
    return perturb(events, Perturbation(simultaneous=False, drop=level), generator)


def _lost_at(plain: float, points: Sequence[NoisePoint]) -> float | None:
    """Return the level at which one point is lost first."""
    limit = plain - POINT
    before, value = 0.0, plain
    for point in points:
        if point.mean <= limit:
            share = (value - limit) / (value - point.mean) if value > point.mean else 0.0
            return before + share * (point.level - before)
        before, value = point.level, point.mean
    return None
