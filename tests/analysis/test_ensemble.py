"""Ensembles of plays: what is changed, how far apart the plays are, which settings fit."""

from dataclasses import replace

import numpy as np
import programs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speckflex.analysis.ensemble import Candidate, fit_candidates, play_ensemble
from speckflex.boards.twin import Twin
from speckflex.errors import BoardError, EventsError
from speckflex.events.perturbation import Perturbation, perturb
from speckflex.events.streams import EVENT_DTYPE
from speckflex.program.program import Program
from speckflex.program.records import Core, Destination, InputStage
from speckflex.twin.settings import TwinSettings


@pytest.fixture
def program(rng):
    """Two layers, the first on core 0."""
    shape = (2, 12, 12)
    first = Core(
        "first",
        rng.integers(-60, 100, (8, 2, 3, 3)),
        90,
        -90,
        shape,
        padding=(1, 1),
        destinations=(Destination(1),),
        chip_core=0,
    )
    weights = rng.integers(-60, 90, (10, 8, 12, 12))
    second = Core("second", weights, 120, -120, (8, 12, 12), chip_core=2)
    return Program((first, second), InputStage(shape), chip="unbounded")


@pytest.fixture
def samples(rng):
    return [programs.random_events(rng, (2, 12, 12), 600) for _ in range(3)]


def as_set(events):
    return sorted(events.tolist())


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), n_events=st.integers(0, 200))
def test_simultaneous_events_alone_change_places(seed, n_events):
    rng = np.random.default_rng(seed)
    events = programs.random_events(rng, (2, 12, 12), n_events)
    changed = perturb(events, Perturbation(), rng)
    assert as_set(changed) == as_set(events)
    assert np.array_equal(changed["t"], events["t"])


def test_jitter_moves_events_and_keeps_their_times(rng):
    events = programs.random_events(rng, (2, 12, 12), 500)
    changed = perturb(events, Perturbation(jitter=5.0), rng)
    assert np.array_equal(changed["t"], events["t"])
    assert np.array_equal(np.sort(changed[["x", "y", "p"]]), np.sort(events[["x", "y", "p"]]))
    assert not np.array_equal(changed, events)


def test_about_the_stated_share_is_lost(rng):
    events = programs.random_events(rng, (2, 12, 12), 10_000)
    kept = perturb(events, Perturbation(drop=0.2), rng)
    assert abs(len(kept) - 8000) < 5 * np.sqrt(10_000 * 0.2 * 0.8)
    assert len(perturb(events, Perturbation(drop=1.0), rng)) == 0


def test_no_perturbation_has_no_spread(program, samples):
    still = Perturbation(simultaneous=False)
    spread = play_ensemble(program, samples, 3, perturbation=still).spread()
    assert spread.from_unperturbed == (0.0, 0.0)
    assert spread.between_plays == (0.0, 0.0)
    assert spread.spikes[1] == 0


@pytest.mark.parametrize(
    "perturbation",
    [Perturbation(), Perturbation(jitter=3.0), Perturbation(drop=0.05)],
)
def test_a_perturbation_spreads_the_counts(program, samples, perturbation):
    spread = play_ensemble(program, samples, 3, perturbation=perturbation).spread(0)
    assert 0 < spread.between_plays[0] <= spread.between_plays[1] < 1


def test_only_layers_on_the_parallel_cores_are_unordered(program, samples):
    only_parallel = Perturbation(simultaneous=False, parallel_window=8)
    assert play_ensemble(program, samples, 2, perturbation=only_parallel).spread(0).spikes[1] > 0
    first, second = program.cores
    elsewhere = replace(program, cores=(replace(first, chip_core=3), second))
    spread = play_ensemble(elsewhere, samples, 2, perturbation=only_parallel).spread(0)
    assert spread.between_plays == (0.0, 0.0)


def test_the_seed_fixes_everything_whatever_the_threads(program, samples):
    chosen = TwinSettings(parallel_window=6, seed=3)
    plays = []
    for threads in (1, 2):
        with Twin(threads=threads, settings=chosen) as twin:
            twin.load(program)
            plays.append(twin.play(samples))
    assert plays[0].provenance.seed == 3
    for sample in range(3):
        assert np.array_equal(plays[0].events(-1, sample), plays[1].events(-1, sample))


def test_accuracy_spreads_only_with_labels(program, samples):
    ensemble = play_ensemble(program, samples, 2)
    assert ensemble.accuracies() is None
    labels = ensemble.unperturbed.predictions()
    shares = ensemble.with_labels(labels).accuracies()
    assert shares.shape == (2,)
    assert shares.max() <= 1


def test_the_settings_behind_a_session_fit_best(program, samples):
    truth = TwinSettings(parallel_window=1)
    with Twin(settings=truth) as twin:
        twin.load(program)
        lossy = [sample[np.arange(len(sample)) % 10 > 0] for sample in samples]
        session = twin.play(lossy, keep_events=False)
    still = Perturbation(simultaneous=False)
    candidates = [
        Candidate(truth, still),
        Candidate(truth, replace(still, drop=0.1)),
        Candidate(truth, replace(still, drop=0.6)),
    ]
    best = fit_candidates(program, samples, session, candidates)
    assert best[0].perturbation.drop < 0.6
    assert best[-1].perturbation.drop == 0.6
    assert best[0].spike_difference <= best[1].spike_difference


def test_a_session_that_the_twin_repeats_fits_exactly(program, samples):
    with Twin() as twin:
        twin.load(program)
        session = twin.play(samples, keep_events=False)
    still = Perturbation(simultaneous=False)
    tried = [Candidate(TwinSettings(), replace(still, drop=0.1)), Candidate(TwinSettings(), still)]
    best = fit_candidates(program, samples, session, tried, n_plays=2)[0]
    assert best.spike_difference == 0.0
    assert best.perturbation.drop == 0.0


def test_an_ensemble_needs_two_plays(program, samples):
    with pytest.raises(BoardError, match="ask for 2 or more"):
        play_ensemble(program, samples, 1)


def test_a_session_of_other_samples_is_refused(program, samples):
    with Twin() as twin:
        twin.load(program)
        session = twin.play(samples[:2])
    with pytest.raises(BoardError, match="recorded 2 samples, 3 streams"):
        fit_candidates(program, samples, session, [])


@pytest.mark.parametrize("values", [{"jitter": -1.0}, {"jitter": float("nan")}, {"drop": 1.5}])
def test_impossible_perturbations_are_refused(values):
    with pytest.raises(EventsError, match="perturbation with jitter"):
        Perturbation(**values)


def test_an_empty_stream_stays_empty(rng):
    empty = np.empty(0, EVENT_DTYPE)
    assert len(perturb(empty, Perturbation(jitter=1.0, drop=0.5), rng)) == 0
