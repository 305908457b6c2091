"""Training for the chip: 8-bit weights, clipped weights, synaptic operations."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sinabs.layers import IAFSqueeze
from torch import nn

import speckflex as sf
from speckflex.training import FrameSet, TrainingData, TrainingSettings, fit
from speckflex.training._quantise_aware import (
    clip_weights,
    discretisation_scale,
    eight_bit_weights,
)
from speckflex.training._synops import counted_synops
from speckflex.training._weight_layers import weight_layers


def pooled_network(seed=0, threshold=1.0):
    """A network on (2, 8, 8) with pooling between its layers."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(2, 4, 3, padding=1, bias=False),
                spike1=neuron(threshold),
                pool1=nn.AvgPool2d(2),
                conv2=nn.Conv2d(4, 3, 3, stride=2, padding=1, bias=False),
                spike2=neuron(threshold),
                pool2=nn.AvgPool2d(2),
                flatten=nn.Flatten(),
                linear3=nn.Linear(3, 2, bias=False),
            )
        )


def neuron(threshold=1.0):
    return IAFSqueeze(
        batch_size=1,
        spike_threshold=torch.tensor(threshold),
        min_v_mem=torch.tensor(-threshold),
    )


@given(low=st.floats(-4, 4, width=32), high=st.floats(-4, 4, width=32), reach=st.floats(0.01, 500))
def test_the_scale_is_the_largest_that_fits_all_integers(low, high, reach):
    weights = torch.tensor([low, high])
    scale = discretisation_scale(weights, reach)
    if not weights.any():
        assert scale == 32767 / reach
        return
    rooms = [127 / w if w > 0 else -128 / w for w in weights.tolist() if w]
    assert scale == pytest.approx(min(*rooms, 32767 / reach), rel=1e-6)


@pytest.mark.parametrize("threshold", [1.0, 0.3])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_training_sees_the_integers_that_the_converter_makes(seed, threshold):
    network = pooled_network(seed, threshold)
    program = sf.convert(network, input_shape=(2, 8, 8))
    layers = weight_layers(network)
    with eight_bit_weights(network):
        for layer, core in zip(layers, program.cores, strict=True):
            seen = layer.module.weight.detach().numpy() / layer.pooled
            integers = core.weights.reshape(seen.shape)
            if layer.threshold is None:
                unit = 1 / core.scale
            else:
                unit = layer.threshold / core.threshold_high
            assert np.allclose(seen, integers * unit, rtol=1e-5, atol=1e-7)


def test_weights_are_as_before_after_the_8_bit_pass_and_gradients_stay():
    network = pooled_network()
    before = [parameter.detach().clone() for parameter in network.parameters()]
    with eight_bit_weights(network):
        assert not torch.equal(network.conv1.weight, before[0])
        network(torch.rand(4, 2, 8, 8)).sum().backward()
    for value, parameter in zip(before, network.parameters(), strict=True):
        assert torch.equal(value, parameter)
    assert network.conv1.weight.grad is not None


def test_clipped_weights_lie_below_the_threshold_on_the_chip():
    network = pooled_network(threshold=0.5)
    with torch.no_grad():
        for parameter in (network.conv1.weight, network.conv2.weight, network.linear3.weight):
            parameter.mul_(100)
    readout = network.linear3.weight.detach().clone()
    clip_weights(network)
    assert network.conv1.weight.abs().max() < 0.5
    assert 0.49 < network.conv2.weight.abs().max() / 4 < 0.5
    assert torch.equal(network.linear3.weight, readout)


def test_synops_are_the_targets_of_every_event(rng):
    network = pooled_network()
    frames = torch.from_numpy(rng.integers(0, 3, (3, 2, 8, 8))).float()
    seen = []
    for layer in weight_layers(network):
        layer.module.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].detach()))
    with counted_synops(network) as counts:
        network(frames)
    strides, fans = (1, 2, 1), (4, 3, 2)
    expected = [
        brute_force_synops(frames.numpy(), strides[0], fans[0]),
        brute_force_synops(seen[1].numpy() * 4, strides[1], fans[1]),
        float(seen[2].sum()) * 4 * fans[2],
    ]
    assert [float(count.detach()) for count in counts] == pytest.approx(expected)
    assert not any(hasattr(layer.module, "hook_data") for layer in weight_layers(network))


def brute_force_synops(counts, stride, features):
    """Each event reaches every 3x3 window, at padding 1, that it lies in."""
    side = counts.shape[-1]
    n_out = (side - 1) // stride + 1
    windows = sum(
        counts[..., y, x].sum()
        for out_y in range(n_out)
        for out_x in range(n_out)
        for y in range(out_y * stride - 1, out_y * stride + 2)
        for x in range(out_x * stride - 1, out_x * stride + 2)
        if 0 <= y < side and 0 <= x < side
    )
    return float(windows * features)


def test_a_penalty_on_synaptic_operations_makes_neurons_fire_less(rng):
    frames = torch.from_numpy(rng.integers(0, 3, (24, 4, 2, 8, 8)).astype(np.uint8))
    labels = torch.arange(24) % 2
    part = FrameSet(frames, labels)
    data = TrainingData(part, part)
    network = pooled_network()
    spikes = {}
    for weight in (0.0, 1e4):
        settings = TrainingSettings(t_max=4, epochs=5, synops_weight=weight, learning_rate=0.01)
        trained = fit(network, data, settings).network
        trained.spike1.batch_size = 24
        with torch.no_grad():
            fired = trained.spike1(trained.conv1(frames.float().flatten(0, 1)))
        spikes[weight] = float(fired.sum())
    assert spikes[1e4] < spikes[0.0]
