"""The times of spikes, and whether the board repeats itself."""

import time

import numpy as np
import pytest

from speckflex.program.program import Program


def test_spikes_are_in_order_and_not_earlier_than_their_cause(play, board_metrics, neuron, pulses):
    times = 250 * np.arange(1, 101)
    spikes = play(neuron(weight=127), pulses(times)).events()
    assert len(spikes) == len(times)
    latencies = spikes["t"] - times
    assert (latencies >= 0).all()
    board_metrics.record(median_latency_us=float(np.median(latencies)))


def test_samples_that_are_played_together_are_separated(play, neuron, pulses):
    samples = [pulses(100 * np.arange(1, n + 1)) for n in (3, 0, 7)]
    recording = play(neuron(weight=127), samples, reset=False)
    assert recording.counts().ravel().tolist() == [3, 0, 7]
    assert all(sample.stopped in {"complete", "silence"} for sample in recording.samples)


@pytest.mark.needs_devkit("the twin plays as fast as it can")
def test_a_sample_takes_its_own_length_and_little_more(
    family, reopened, board_metrics, neuron, pulses
):
    board = reopened(speed=1.0) if family == "virtual" else reopened()
    board.load(neuron())
    samples = [pulses(np.arange(1, 201) * 1000)] * 5
    started = time.monotonic()
    board.play(samples)
    overhead = (time.monotonic() - started) / len(samples) - 0.2
    board_metrics.record(overhead_s_per_sample=overhead)
    assert 0 <= overhead < 0.5


def test_the_board_repeats_itself(board, board_metrics, chain, stream):
    program = chain({"padding": (1, 1), "pooling": 2}, {})
    events = stream(program.input.shape, n=2000)
    board.load(program)
    first, second = board.play(events), board.play(events)
    board_metrics.record_difference(first, second)
    for layer in range(2):
        np.testing.assert_array_equal(first.counts(layer), second.counts(layer))


def test_cores_that_compute_in_parallel_are_measured(board, board_metrics, chain, stream):
    """Cores 0 and 1 may differ from play to play; the difference is recorded as a metric."""
    program = chain({"padding": (1, 1), "chip_core": 0}, {"chip_core": 1})
    program = Program(program.cores, program.input)
    events = stream(program.input.shape, n=2000)
    board.load(program)
    difference = board_metrics.record_difference(board.play(events), board.play(events))
    assert difference is not None
