"""Noise on the twin: none changes nothing, its amount is the stated one, its curve is by hand."""

import numpy as np
import pytest
from made_up import random_stream, two_core_program

import speckflex as sf
from speckflex.analysis.robustness import (
    NoisePoint,
    NoiseSettings,
    _lost_at,
    add_noise_events,
    measure_noise,
    shift_weights,
)
from speckflex.analysis.tuning import Samples
from speckflex.errors import ComparisonError

PROGRAM = two_core_program()


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(7)
    events = [random_stream(rng, PROGRAM.input.shape, 60) for _ in range(6)]
    return Samples(events, np.array([0, 1, 2, 0, 1, 2]))


@pytest.mark.parametrize("kind", ["weights", "noise events", "lost events"])
def test_no_noise_is_the_plain_accuracy_of_the_twin(samples, kind):
    with sf.open_board("twin") as board:
        board.load(PROGRAM)
        plain = board.play(samples.events).with_labels(samples.labels).accuracy()
    curve = measure_noise(PROGRAM, samples, kind, NoiseSettings((0, 1), runs=2, threads=1))
    assert (curve.plain, curve.points[0].mean, curve.samples) == (plain, plain, 6)
    assert curve.points[1].lowest <= curve.points[1].mean <= curve.points[1].highest


def test_weights_are_off_by_each_number_equally_often(rng):
    shifted = shift_weights(PROGRAM, 2, rng)
    off = shifted.cores[0].weights.astype(int) - PROGRAM.cores[0].weights
    assert set(np.unique(off)) <= {-2, -1, 0, 1, 2}
    assert np.abs(off).any()
    # a weight of 127 stays in 8 bits
    assert shifted.cores[1].weights.max() == 127
    assert shift_weights(PROGRAM, 0, rng).sha256 == PROGRAM.sha256


def test_noise_events_come_at_the_stated_rate_and_leave_the_others_in_their_order(rng):
    shape = (2, 8, 9)
    events = random_stream(rng, shape, 500)
    noisy = add_noise_events(events, shape, 40_000.0, rng)
    seconds = np.ptp(events["t"]) / 1e6
    # five times the error of a Poisson count
    assert abs(len(noisy) - 500 - 40_000 * seconds) < 5 * np.sqrt(40_000 * seconds)
    assert (np.diff(noisy["t"]) >= 0).all()
    assert [noisy[name].max() for name in ("p", "y", "x")] == [1, 7, 8]
    left = list(noisy.tolist())
    for event in events.tolist():
        left.remove(event)
    assert len(left) == len(noisy) - 500
    assert len(add_noise_events(events[:0], shape, 1e6, rng)) == 0


def test_the_level_of_one_lost_point_lies_between_two_levels_on_a_line():
    points = [NoisePoint(10, 0.90, 0, 1), NoisePoint(20, 0.86, 0, 1)]
    assert _lost_at(0.89, points) == pytest.approx(10 + 10 * (0.90 - 0.88) / (0.90 - 0.86))
    assert _lost_at(0.95, points) == pytest.approx(10 * 0.01 / 0.05)
    assert _lost_at(0.80, points) is None


@pytest.mark.parametrize(
    ("kind", "settings", "match"),
    [
        ("weights", NoiseSettings((0.5,)), "level 0.5 of weights makes no sense: give whole num"),
        ("lost events", NoiseSettings((2,)), "level 2 of lost events .* from 0 to 1"),
        ("noise events", NoiseSettings((-1,)), "level -1 of noise events"),
        ("weights", NoiseSettings((1,), runs=0), "6 samples with a label in 0 runs"),
    ],
)
def test_noise_without_sense_is_refused(samples, kind, settings, match):
    with pytest.raises(ComparisonError, match=match):
        measure_noise(PROGRAM, samples, kind, settings)


def test_samples_without_labels_have_no_accuracy(samples):
    with pytest.raises(ComparisonError, match="0 samples with a label"):
        measure_noise(PROGRAM, Samples(samples.events, np.full(6, -1)), "weights")
