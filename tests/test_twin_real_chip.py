"""The twin beside a real Speck2f: spike counts of a first layer on five N-MNIST recordings."""

import json

import nir
import numpy as np
import pytest

from speckflex.boards.twin import Twin
from speckflex.events import make_events
from speckflex.program import Core, InputStage, Program

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
def twin_counts(shared_data, recordings):
    """(digit, channel, y, x) spikes of the twin's first layer, discretised by hand."""
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
    )
    with Twin() as twin:
        twin.load(Program((core,), InputStage((2, 34, 34))))
        return twin.play(recordings, keep_events=False).counts(0)


def test_first_layer_equals_the_chip_on_digit_one(twin_counts, real_counts):
    assert real_counts[1].sum() == 3590
    assert np.array_equal(twin_counts[1], real_counts[1])


def test_first_layer_is_within_the_bar_of_the_chip_over_five_digits(twin_counts, real_counts):
    difference = np.abs(twin_counts - real_counts).sum() / real_counts.sum()
    assert difference <= 0.011
