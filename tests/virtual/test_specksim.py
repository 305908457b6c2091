"""specksim's layers against brute-force computations of their definition."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speckflex import virtual

SAMNA = virtual.install()
SPECKSIM = SAMNA.specksim
TIMEOUT_MS = 10_000


def random_spikes(rng, n_channels, shape, n):
    """Return spikes anywhere on a map."""
    return [
        SPECKSIM.events.Spike(
            int(rng.integers(n_channels)),
            int(rng.integers(shape[0])),
            int(rng.integers(shape[1])),
            moment,
        )
        for moment in range(n)
    ]


@settings(max_examples=40)
@given(
    st.integers(0, 10**6),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
)
def test_the_events_of_a_convolution_add_up_to_the_convolved_counts(seed, kernel, stride, padding):
    rng = np.random.default_rng(seed)
    shape = (5, 6)
    weights = rng.integers(-9, 10, (2, 3, *kernel)).astype(np.float32)
    layer = SPECKSIM.Convolution2d(3, 2, kernel, shape, stride, padding)
    layer.set_weights(weights.tolist())
    spikes = random_spikes(rng, 3, shape, 12)
    summed = np.zeros((2, *layer.get_output_shape()))
    for event in layer.forward(spikes):
        summed[event.feature, event.y, event.x] += event.weight
    padded = np.zeros((3, shape[0] + 2 * padding[0], shape[1] + 2 * padding[1]))
    for spike in spikes:
        padded[spike.feature, spike.y + padding[0], spike.x + padding[1]] += 1
    for out, y, x in np.ndindex(summed.shape):
        top, left = y * stride[0], x * stride[1]
        window = padded[:, top : top + kernel[0], left : left + kernel[1]]
        assert summed[out, y, x] == (window * weights[out]).sum()


def test_a_weighted_event_keeps_the_time_of_its_spike():
    layer = SPECKSIM.Convolution2d(1, 1, (1, 1), (2, 2))
    layer.set_weights([[[[0.5]]]])
    (event,) = layer.forward([SPECKSIM.events.Spike(0, 1, 0, 77)])
    assert (event.feature, event.y, event.x, event.timestamp, event.weight) == (0, 1, 0, 77, 0.5)


def test_neurons_fire_once_per_event_subtract_and_stop_at_the_bound():
    layer = SPECKSIM.IntegrateAndFire(1, (1, 1), 1.0, -0.5)
    events = [SPECKSIM.events.WeightedEvent(0, 0, 0, t, w) for t, w in enumerate((2.5, 0, 0, -9))]
    assert [spike.timestamp for spike in layer.forward(events)] == [0, 1]
    assert layer.get_v_mem() == [[[-0.5]]]
    layer.reset_states()
    assert layer.get_v_mem() == [[[0.0]]]


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-30, 30)), max_size=60))
def test_neurons_follow_the_plain_loop(events):
    layer = SPECKSIM.IntegrateAndFire(1, (2, 2), 20.0, -10.0)
    state, expected = [0] * 4, []
    for moment, (neuron, weight) in enumerate(events):
        state[neuron] = max(state[neuron] + weight, -10)
        if state[neuron] >= 20:
            state[neuron] -= 20
            expected.append((moment, neuron))
    spikes = layer.forward(
        [
            SPECKSIM.events.WeightedEvent(0, neuron // 2, neuron % 2, moment, float(weight))
            for moment, (neuron, weight) in enumerate(events)
        ]
    )
    assert [(spike.timestamp, 2 * spike.y + spike.x) for spike in spikes] == expected
    assert np.ravel(layer.get_v_mem()).tolist() == state


def test_pooling_divides_addresses_and_drops_the_edge():
    layer = SPECKSIM.SumPooling((2, 3), (5, 7))
    spikes = [SPECKSIM.events.Spike(1, y, x, 0) for y in range(5) for x in range(7)]
    pooled = [(spike.y, spike.x) for spike in layer.forward(spikes)]
    assert layer.get_output_shape() == (2, 2)
    assert sorted(set(pooled)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert len(pooled) == 4 * 6


def test_weights_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"give \(1, 1, 1, 1\)"):
        SPECKSIM.Convolution2d(1, 1, (1, 1), (2, 2)).set_weights([[[[1.0, 2.0]]]])


def test_filter_nodes_compute_like_their_layers():
    rng = np.random.default_rng(0)
    spikes = random_spikes(rng, 2, (8, 8), 3000)
    weights = rng.normal(size=(3, 2, 3, 3)).tolist()
    convolution = SPECKSIM.Convolution2d(2, 3, (3, 3), (8, 8), (1, 1), (1, 1))
    convolution.set_weights(weights)
    neurons = SPECKSIM.IntegrateAndFire(3, (8, 8), 1.0, -1.0)
    expected = neurons.forward(convolution.forward(spikes))
    graph = SAMNA.graph.EventFilterGraph()
    source, convolve, integrate, sink = graph.sequential(
        [
            SAMNA.BasicSourceNode_specksim_events_spike(),
            SPECKSIM.nodes.SpecksimConvolutionalFilterNode(),
            SPECKSIM.nodes.SpecksimIAFFilterNode(),
            SAMNA.BasicSinkNode_specksim_events_spike(),
        ]
    )
    convolve.set_parameters(2, 3, (3, 3), (8, 8), (1, 1), (1, 1))
    convolve.set_weights(weights)
    integrate.set_parameters(3, (8, 8), 1.0, -1.0)
    graph.start()
    source.write(spikes)
    assert sink.get_n_events(len(expected), TIMEOUT_MS) == expected
    assert integrate.get_layer().get_v_mem() == neurons.get_v_mem()


def test_a_read_right_after_the_write_returns_all_spikes_of_a_slow_network(monkeypatch):
    """Scripts sleep one second and read once; a busy machine may need longer to compute."""
    integrate = SPECKSIM.IntegrateAndFire.integrate

    def slowly(layer, events):
        time.sleep(0.3)
        return integrate(layer, events)

    monkeypatch.setattr(SPECKSIM.IntegrateAndFire, "integrate", slowly)
    neurons = SPECKSIM.nodes.SpecksimIAFFilterNode()
    neurons.set_parameters(1, (1, 1), 1.0, -1.0)
    graph, beside = SAMNA.graph.EventFilterGraph(), SAMNA.graph.EventFilterGraph()
    nodes = [SAMNA.BasicSourceNode_specksim_events_weighted_event(), neurons]
    source, _, sink = graph.sequential([*nodes, SAMNA.BasicSinkNode_specksim_events_spike()])
    _, monitor = beside.sequential([neurons, SAMNA.BasicSinkNode_specksim_events_spike()])
    graph.start()
    beside.start()
    source.write([SPECKSIM.events.WeightedEvent(0, 0, 0, moment, 1.0) for moment in range(5)])
    assert [spike.timestamp for spike in sink.get_events()] == [0, 1, 2, 3, 4]
    source.write([SPECKSIM.events.WeightedEvent(0, 0, 0, 5, 1.0)])
    beside.stop()
    graph.stop()
    assert len(monitor.get_events()) == 6
