"""The twin beside a real Speck2f: spike counts of a first layer on five N-MNIST recordings."""

import json
from dataclasses import replace

import nir
import numpy as np
import pytest

from speckflex.analysis.ensemble import Candidate, fit_candidates
from speckflex.boards.twin import Twin
from speckflex.events.perturbation import Perturbation
from speckflex.events.streams import make_events
from speckflex.program.program import Program
from speckflex.program.records import Core, InputStage
from speckflex.twin.settings import EngineTimes, TwinSettings

THRESHOLD = 72  # of the discretised layer; its scale is 128 / |most negative weight|


def read_nmnist(path):
    """Return one N-MNIST recording: 5 bytes an event, x, y, polarity bit, 23 bits of time."""
    raw = np.fromfile(path, np.uint8).reshape(-1, 5).astype(np.int64)
    times = (raw[:, 2] & 127) << 16 | raw[:, 3] << 8 | raw[:, 4]
    return make_events(times, raw[:, 0], raw[:, 1], raw[:, 2] >> 7)


@pytest.fixture(scope="module")
def real_counts(shared_data):
    """(digit, channel, y, x) spikes of the real chip."""
    return np.load(shared_data / "chip_first_layer" / "speck2f_counts_digits_0_to_4.npy")


@pytest.fixture(scope="module")
def recordings(shared_data):
    """The events of digits 0 to 4."""
    index = json.loads((shared_data / "chip_first_layer" / "index.json").read_text())
    files = index["digit_to_file"]
    return [read_nmnist(shared_data / "nmnist" / files[str(digit)]) for digit in range(5)]


@pytest.fixture(scope="module")
def program(shared_data):
    """The network's first layer, discretised by hand, on the core where it was recorded."""
    graph = nir.read(shared_data / "chip_first_layer" / "cnn_sinabs.nir")
    weights = np.asarray(graph.nodes["0"].weight)
    scale = float(128 / abs(weights.min()))
    core = Core(
        name="conv1",
        weights=np.round(weights * scale),
        threshold_high=THRESHOLD,
        threshold_low=-THRESHOLD,
        input_shape=(2, 34, 34),
        stride=(2, 2),
        padding=(1, 1),
        scale=scale,
        chip_core=0,
    )
    return Program((core,), InputStage((2, 34, 34)))


def play_recording(program, recordings, settings=None):
    """Return what the twin records."""
    with Twin(settings=settings) as twin:
        twin.load(program)
        return twin.play(recordings, keep_events=False)


def play(program, recordings, settings=None):
    """Return (digit, channel, y, x) spikes of the twin."""
    return play_recording(program, recordings, settings).counts(0)


@pytest.fixture(scope="module")
def twin_counts(program, recordings):
    """(digit, channel, y, x) spikes of the twin with its default settings."""
    return play(program, recordings)


def test_first_layer_equals_the_chip_on_digit_one(twin_counts, real_counts):
    assert real_counts[1].sum() == 3590
    assert np.array_equal(twin_counts[1], real_counts[1])


def test_first_layer_is_within_the_bar_of_the_chip_over_five_digits(twin_counts, real_counts):
    difference = np.abs(twin_counts - real_counts).sum() / real_counts.sum()
    assert difference <= 0.011


def test_two_engines_explain_part_of_the_difference(program, recordings, real_counts, twin_counts):
    counts = play(program, recordings, TwinSettings(engine_times=EngineTimes()))
    apart = np.abs(counts - real_counts).sum(axis=(1, 2, 3))
    strict = np.abs(twin_counts - real_counts).sum(axis=(1, 2, 3))
    assert apart.sum() / real_counts.sum() <= 0.0070
    # times fitted to digits 0, 1 and 2 alone bring digit 3 as near: see benchmarks/real_chip.md
    assert apart[3] < strict[3] / 2


def test_engines_in_random_order_do_not(program, recordings, real_counts, twin_counts):
    counts = play(program, recordings, TwinSettings(parallel_window=3))
    strict = np.abs(twin_counts - real_counts).sum()
    assert np.abs(counts - real_counts).sum() > strict


def test_fitting_the_recorded_session_finds_the_two_engines(program, recordings, real_counts):
    session = play_recording(program, recordings)
    layer = replace(session.layer(0), counts=real_counts.astype(np.int64))
    session = replace(session, layers=(layer,))
    still = Perturbation(simultaneous=False)
    candidates = [
        Candidate(TwinSettings(), still),
        Candidate(TwinSettings(), replace(still, jitter=50.0)),
        Candidate(TwinSettings(engine_times=EngineTimes()), still),
        Candidate(TwinSettings(), replace(still, drop=0.01)),
    ]
    best, *_, worst = fit_candidates(program, recordings, session, candidates, n_plays=2)
    assert best.settings.engine_times is not None
    assert worst.perturbation.drop == 0.01
