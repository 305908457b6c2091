"""At each tick of the slow clock a layer's bias is added to its neurons, down to the bound."""

import numpy as np
import pytest

PERIOD = 1000  # µs


@pytest.fixture
def leaking(with_slow_clock):
    """The board with a slow clock of 1 kHz."""
    return with_slow_clock(PERIOD)


def test_the_bias_is_added_at_each_tick(leaking, neuron, pulses):
    bias, start = -2, 110
    program = neuron(weight=1, bias=np.array([bias]), initial_state=np.full((1, 1, 1), start))
    leaking.load(program)
    leaking.play(pulses(np.arange(1, 21) * PERIOD))
    ticks = (start + 20 - leaking.read_neurons().item()) / -bias
    assert ticks == int(ticks)
    # the phase of the clock is unknown, and it may tick while the board waits for the end
    assert ticks >= 19


def test_the_leak_stops_at_the_lower_bound(leaking, neuron, pulses):
    program = neuron(weight=1, bias=np.array([-100]))
    leaking.load(program)
    leaking.play(pulses([10 * PERIOD]))
    assert leaking.read_neurons().item() in {-127, -126}


def test_without_a_slow_clock_a_bias_has_no_effect(play, board, neuron, pulses):
    play(neuron(weight=5, bias=np.array([-100])), pulses([10 * PERIOD]))
    assert board.read_neurons().item() == 5
