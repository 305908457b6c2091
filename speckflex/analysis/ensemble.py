"""How far a board may differ from itself: many plays of the same samples with small changes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from speckflex.boards.twin import Twin
from speckflex.errors import BoardError
from speckflex.events.perturbation import Perturbation, perturb
from speckflex.events.streams import as_events
from speckflex.recordings.measures import relative_difference
from speckflex.twin.settings import TwinSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.program.program import Program
    from speckflex.recordings.recording import Recording

__all__ = ["Candidate", "Ensemble", "LayerSpread", "fit_candidates", "play_ensemble"]


@dataclass(frozen=True)
class LayerSpread:
    """How far the plays of one layer differ.

    Args:
        index: position of the layer in the network, from 0.
        name: name of the layer.
        spikes: mean and standard deviation of the number of spikes in a play.
        from_unperturbed: spike difference of each play from the unchanged one, mean and
            maximum; None where it has no finite value.
        between_plays: spike difference of each play from the play before it, mean and maximum:
            the noise floor to expect of a board; None where it has no finite value.
    """

    index: int
    name: str
    spikes: tuple[float, float]
    from_unperturbed: tuple[float | None, float | None]
    between_plays: tuple[float | None, float | None]


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Plays of the same samples.

    Args:
        unperturbed: the play without changes.
        plays: the plays with changes, each with its own random draws.
        perturbation: the changes.
        seed: seed of the random draws.
    """

    unperturbed: Recording
    plays: tuple[Recording, ...]
    perturbation: Perturbation
    seed: int

    def spread(self, layer: int = -1) -> LayerSpread:
        """Return how far the plays of one layer differ."""
        reference = self.unperturbed.layer(layer)
        counts = [play.counts(layer) for play in self.plays]
        spikes = np.array([float(play.sum()) for play in counts])
        others = [relative_difference(reference.counts, play) for play in counts]
        return LayerSpread(
            index=reference.index,
            name=reference.name,
            spikes=(float(spikes.mean()), float(spikes.std())),
            from_unperturbed=_mean_and_most(others),
            between_plays=_mean_and_most([relative_difference(a, b) for a, b in pairwise(counts)]),
        )

    def with_labels(self, labels: Sequence[int] | np.ndarray) -> Ensemble:
        """Return the ensemble with the class of each sample."""
        plays = tuple(play.with_labels(labels) for play in self.plays)
        return replace(self, unperturbed=self.unperturbed.with_labels(labels), plays=plays)

    def accuracies(self) -> np.ndarray | None:
        """Return (play,) float, the share of samples classified right; None without labels."""
        shares = [play.accuracy() for play in self.plays]
        known = [share for share in shares if share is not None]
        return np.array(known) if known and len(known) == len(shares) else None


def play_ensemble(
    program: Program,
    events: Sequence[np.ndarray],
    n_plays: int,
    *,
    perturbation: Perturbation | None = None,
    seed: int = 0,
    settings: TwinSettings | None = None,
) -> Ensemble:
    """Play the samples on the twin `n_plays` times, each time with small changes.

    Args:
        program: the program.
        events: one structured array per sample.
        n_plays: number of plays, at least 2.
        perturbation: the changes; by default the order of simultaneous events.
        seed: seed of the random draws; the same seed gives the same plays.
        settings: settings of the twin.

    Raises:
        BoardError: fewer than two plays are asked for.
        EventsError: a sample is no event stream of the input's shape.
    """
    if n_plays < 2:
        raise BoardError(f"an ensemble of {n_plays} plays has no spread: ask for 2 or more")
    perturbation = perturbation or Perturbation()
    settings = settings or TwinSettings()
    samples = [as_events(sample, source=f"sample {i}") for i, sample in enumerate(events)]
    plays = [_play(program, samples, settings)]
    for play in range(n_plays):
        generator = np.random.default_rng((seed, play))
        changed = [perturb(sample, perturbation, generator) for sample in samples]
        own = replace(settings, parallel_window=perturbation.parallel_window, seed=seed + play)
        plays.append(_play(program, changed, own))
    return Ensemble(plays[0], tuple(plays[1:]), perturbation, seed)


@dataclass(frozen=True)
class Candidate:
    """Settings that might explain a recorded session.

    Args:
        settings: settings of the twin.
        perturbation: changes of the events.
        spike_difference: spike difference of the twin with these settings from the recording,
            mean over the plays.
    """

    settings: TwinSettings
    perturbation: Perturbation
    spike_difference: float = float("nan")


def fit_candidates(
    program: Program,
    events: Sequence[np.ndarray],
    recorded: Recording,
    candidates: Sequence[Candidate],
    *,
    n_plays: int = 4,
    seed: int = 0,
) -> tuple[Candidate, ...]:
    """Return the candidates in the order of their spike difference from a recorded session.

    The spike difference covers all layers that the session recorded.

    Args:
        program: the program that ran.
        events: one structured array per sample, as they were played.
        recorded: the session, of the same samples.
        candidates: the settings to try.
        n_plays: number of plays per candidate, at least 2.
        seed: seed of the random draws.

    Raises:
        BoardError: the session has another number of samples.
    """
    if recorded.n_samples != len(events):
        raise BoardError(
            f"the session recorded {recorded.n_samples} samples, {len(events)} streams are given:"
            " give the streams that were played"
        )
    tried = []
    for candidate in candidates:
        ensemble = play_ensemble(
            program,
            events,
            n_plays,
            perturbation=candidate.perturbation,
            seed=seed,
            settings=candidate.settings,
        )
        distances = [_distance(recorded, play) for play in ensemble.plays]
        tried.append(replace(candidate, spike_difference=float(np.mean(distances))))
    return tuple(sorted(tried, key=lambda candidate: candidate.spike_difference))


def _play(program: Program, samples: Sequence[np.ndarray], settings: TwinSettings) -> Recording:
    with Twin(settings=settings) as twin:
        twin.load(program)
        return twin.play(samples, keep_events=False)


def _distance(recorded: Recording, play: Recording) -> float:
    """Return the spike difference over all recorded layers together."""
    spikes = sum(int(layer.counts.sum()) for layer in recorded.layers)
    apart = sum(
        int(np.abs(layer.counts - play.counts(layer.index)).sum()) for layer in recorded.layers
    )
    # a session without a spike is explained by plays without a spike, and by nothing else
    return apart / spikes if spikes else float(apart > 0)


def _mean_and_most(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Return mean and maximum; None if a reference without spikes gives one of them no value."""
    numbers = np.array(values, np.float64)
    mean, most = float(numbers.mean()), float(numbers.max())
    return (mean, most) if isfinite(mean) else (None, None)
