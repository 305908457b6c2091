"""Two readouts of a network: the neurons' potentials, and the chip's readout layer."""

import numpy as np
import pytest


def test_potentials_are_read_after_each_sample(play, on_twin, chain, stream):
    silent = {"threshold_high": 32767, "threshold_low": -32768, "readout": "potential"}
    program = chain({"pooling": 2}, silent | {"kernel": 5, "out": 10})
    samples = [stream(program.input.shape) for _ in range(3)]
    recording = play(program, samples)
    np.testing.assert_array_equal(
        recording.layer(-1).potentials, on_twin(program, samples).layer(-1).potentials
    )
    assert recording.counts().sum() == 0


@pytest.mark.needs_devkit("the twin has no readout layer")
def test_the_readout_layer_shows_the_class_with_most_spikes(reopened, chain, stream):
    board = reopened(readout_layer=True, slow_clock=200.0)
    weights = np.full((3, 1, 1, 1), 20)
    weights[1] = 90
    program = chain({"weights": weights, "threshold_high": 100}, shape=(1, 1, 1))
    board.load(program)
    recording = board.play(stream((1, 1, 1)))
    counts = recording.counts()[0].ravel()
    assert counts.argmax() == 1
    assert counts.tolist() == [160, 720, 160]
    times, classes = board.pins[0].T
    assert len(times) > 0
    # classes count from 1; 0 is idle
    assert set(classes.tolist()) == {2}
