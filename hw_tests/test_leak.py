"""The slow clock adds each layer's bias to its neurons, down to the lower bound."""

import numpy as np
import pytest

PERIOD = 1000  # µs


@pytest.fixture
def leaking(reopened, family):
    """The board with a slow clock of 1 kHz."""
    if family == "twin":
        from speckflex.twin.settings import TwinSettings

        return reopened(settings=TwinSettings(slow_clock_period=PERIOD))
    return reopened(slow_clock=1e6 / PERIOD)


def test_the_bias_is_added_at_each_tick(leaking, neuron, pulses):
    bias, start = -2, 110
    program = neuron(weight=1, bias=np.array([bias]), initial_state=np.full((1, 1, 1), start))
    leaking.load(program)
    leaking.play(pulses(np.arange(1, 21) * PERIOD))
    ticks = (start + 20 - leaking.read_neurons().item()) / -bias
    assert ticks == int(ticks)
    # the clock's phase is not known, and it may tick while the end of the sample is awaited
    assert ticks >= 19


def test_the_leak_stops_at_the_lower_bound(leaking, neuron, pulses):
    program = neuron(weight=1, bias=np.array([-100]))
    leaking.load(program)
    leaking.play(pulses([10 * PERIOD]))
    assert leaking.read_neurons().item() in {-127, -126}


def test_without_a_slow_clock_a_bias_does_nothing(play, board, neuron, pulses):
    play(neuron(weight=5, bias=np.array([-100])), pulses([10 * PERIOD]))
    assert board.read_neurons().item() == 5
