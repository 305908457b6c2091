"""One neuron with one weight: threshold, reset, residue, lower bound."""

import numpy as np
import pytest


def spikes(play, program, events):
    """Return how often the neuron spiked."""
    return int(play(program, events).counts().sum())


def test_a_neuron_fires_when_it_reaches_its_threshold(play, neuron, pulses):
    assert spikes(play, neuron(weight=127, threshold=127), pulses([100])) == 1


def test_a_neuron_one_below_its_threshold_is_silent(play, neuron, pulses):
    assert spikes(play, neuron(weight=126, threshold=127), pulses([100])) == 0


@pytest.mark.parametrize("n_events", [1, 2, 5, 40])
def test_the_potential_above_the_threshold_is_kept(play, neuron, pulses, n_events):
    program = neuron(weight=100, threshold=127)
    expected = 100 * n_events // 127
    assert spikes(play, program, pulses(100 * np.arange(1, n_events + 1))) == expected


def test_a_reset_to_zero_drops_the_potential_above_the_threshold(play, neuron, pulses):
    program = neuron(weight=100, threshold=127, return_to_zero=True)
    assert spikes(play, program, pulses(100 * np.arange(1, 41))) == 20


def test_one_event_causes_one_spike_even_far_above_the_threshold(play, board, neuron, pulses):
    program = neuron(weight=127, threshold=30)
    assert spikes(play, program, pulses([100])) == 1
    assert board.read_neurons().item() == 127 - 30


def test_the_potential_stops_at_its_lower_bound(play, board, neuron, pulses):
    spikes(play, neuron(weight=-100, threshold=127), pulses([100, 200, 300]))
    assert board.read_neurons().item() == -127


def test_a_potential_at_the_threshold_waits_for_the_next_event(play, board, neuron, pulses):
    program = neuron(weight=1, threshold=127, initial_state=np.full((1, 1, 1), 127))
    assert spikes(play, program, pulses([])) == 0
    assert board.read_neurons().item() == 127
    assert spikes(play, program, pulses([100])) == 1


def test_every_sample_starts_from_the_initial_state(play, neuron, pulses):
    program = neuron(weight=60, initial_state=np.full((1, 1, 1), 60))
    recording = play(program, [pulses([100])] * 3)
    assert recording.counts().ravel().tolist() == [0, 0, 0]
    recording = play(program, [pulses([100, 200])] * 3)
    assert recording.counts().ravel().tolist() == [1, 1, 1]


def test_without_a_reset_potentials_carry_over(play, neuron, pulses):
    recording = play(neuron(weight=60), [pulses([100])] * 6, reset=False)
    assert recording.counts().ravel().tolist() == [0, 0, 1, 0, 1, 0]
