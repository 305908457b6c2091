"""Neurons that a tick of the slow clock makes fire at once, on a board that lets them."""

import math

import numpy as np
import pytest

from speckflex.boards.chip.bench import open_bench
from speckflex.probing._cores import THETA, layer_of, send_to
from speckflex.twin.settings import TwinSettings

LEAKING = np.array([THETA])  # one tick lifts a neuron from 0 to its threshold


@pytest.fixture
def bench():
    settings = TwinSettings(leak_spikes="at tick")
    with open_bench("virtual:speck2f", speed=math.inf, twin=settings) as opened:
        yield opened


def cores_of(spikes):
    return [core for core, *_ in spikes]


def test_the_spike_of_a_tick_goes_on_to_the_next_core(bench):
    layers = {3: layer_of(THETA, bias=LEAKING), 5: layer_of(THETA)}
    configuration = bench.configuration(layers)
    send_to(configuration.cnn_layers[3], 0, 5)
    bench.apply(configuration)
    assert bench.seen([], 3) == []
    bench.tick(2)
    assert cores_of(bench.seen([], 3)) == [3, 5, 3, 5]
    assert (bench.state(3), bench.state(5)) == (0, 0)


def test_each_neuron_of_a_map_fires_once_in_the_order_of_the_board(bench):
    bench.apply(bench.configuration({4: layer_of(THETA, size=(2, 2), bias=3 * LEAKING)}))
    bench.tick()
    # rows and columns fall by default; what is left above the threshold waits
    assert bench.seen([], 4) == [(4, 0, 1, 1), (4, 0, 1, 0), (4, 0, 0, 1), (4, 0, 0, 0)]
    assert bench.states(4, range(4)) == [2 * THETA] * 4


def test_the_spikes_of_a_tick_circulate(bench):
    # 3 excites 4, which sends back what does nothing
    layers = {3: layer_of(0, bias=LEAKING), 4: layer_of(THETA)}
    configuration = bench.configuration(layers)
    send_to(configuration.cnn_layers[3], 0, 4)
    send_to(configuration.cnn_layers[4], 0, 3)
    bench.apply(configuration)
    bench.tick()
    assert cores_of(bench.seen([], 3)) == [3, 4]


def test_a_clock_made_of_sensor_events_lets_neurons_fire_too(bench):
    configuration = bench.configuration({3: layer_of(THETA, bias=LEAKING)})
    configuration.cnn_layers[3].leak_internal_slow_clk_enable = True
    configuration.factory_config.internal_slow_clk_divider = 14
    bench.apply(configuration)
    bench.tick()  # of the external clock, which this core does not follow
    event = bench.event("DvsEvent", p=True, timestamp=0, x=0, y=0)
    assert cores_of(bench.seen([event] * 2**14, 3)) == [3]
