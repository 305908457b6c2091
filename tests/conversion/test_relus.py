"""ReLU networks, written in every way, become the spiking networks that sinabs makes of them."""

import numpy as np
import pytest
import sinabs.layers as sl
import torch
from architectures import (
    SHAPE,
    Own,
    assert_plays_alike,
    conv,
    exact,
    linear,
    one_event_a_step,
    played_in_torch,
    row,
)
from sinabs.from_torch import from_model
from torch import nn
from torch.nn import functional

from speckflex.boards import open_board
from speckflex.conversion.convert import convert, convert_with_checks

# ReLU networks: as modules, and as functions in a forward pass that calls `act`.
RELUS = {
    "relu": functional.relu,
    "torch's relu": torch.relu,
    "a method": lambda x: x.relu(),
    "in place": lambda x: functional.relu(x, inplace=True),
    "clamp": lambda x: torch.clamp(x, min=0),
    "clamp as a method": lambda x: x.clamp(0),
    "clamp_min": lambda x: x.clamp_min(0),
}


def relu_layers(outputs=192):
    return (conv(2, 3, 3, padding=1), conv(3, 3, 3, padding=1), linear(outputs, 4))


def unit(threshold=1.0):
    return sl.IAFSqueeze(batch_size=1, spike_threshold=threshold, min_v_mem=-threshold)


def in_128ths(network):
    """Give a network exact weights for threshold 1: multiples of 1/128, the largest 127/128."""
    exact(network)
    for tensor in network.parameters():
        if tensor.dim() > 1:
            tensor.data /= 128
    return network


def relu_network(act):
    first, second, last = relu_layers()

    def run(self, x):
        x = act(self.first(x))
        return self.last(torch.flatten(act(self.second(x)), 1))

    return Own(run, first=first, second=second, last=last)


@pytest.mark.parametrize("way", RELUS)
def test_relu_functions_become_the_neurons_that_relu_layers_become(way):
    called = in_128ths(relu_network(RELUS[way]))
    first, second, last = relu_layers()
    layers = in_128ths(row(first, unit(), second, unit(), nn.Flatten(), last))
    program, expected = (convert(network, SHAPE) for network in (called, layers))
    for ours, theirs in zip(program.cores, expected.cores, strict=True):
        np.testing.assert_array_equal(ours.weights, theirs.weights)
        assert ours.threshold_high == theirs.threshold_high
        assert ours.threshold_low == theirs.threshold_low
        assert ours.destinations == theirs.destinations
    assert [core.name for core in program.cores] == ["first", "second", "last"]


def shared_activation(act):
    """Return a loop over layers that calls one function, as many classes do."""

    def run(self, x):
        for layer in self.layers:
            x = act(layer(x))
        return x

    layers = nn.ModuleList([conv(2, 3, 3), conv(3, 3, 3), conv(3, 2, 3)])
    return Own(run, layers=layers)


def test_a_relu_in_a_loop_over_layers_is_a_neuron_layer_for_each():
    network = in_128ths(shared_activation(functional.relu))
    spiking = in_128ths(row(*(layer for weights in relu_loop() for layer in (weights, unit()))))
    assert_plays_alike_by_position(convert(network, SHAPE), spiking)


def relu_loop():
    return (conv(2, 3, 3), conv(3, 3, 3), conv(3, 2, 3))


def assert_plays_alike_by_position(program, spiking):
    """Hold a program against a chain of weights and neurons that stand at even and odd places."""
    frames, events = one_event_a_step(SHAPE)
    names = {str(2 * i + 1): core.output_shape for i, core in enumerate(program.cores)}
    expected = played_in_torch(spiking, names, frames)
    with open_board("twin") as board:
        board.load(program)
        recording = board.play([events])
    for index, sums in enumerate(expected.values()):
        np.testing.assert_array_equal(recording.counts(layer=index)[0], sums)


def test_a_relu_network_spikes_as_sinabs_makes_it_spike():
    relus = row(conv(2, 4, 3), nn.ReLU(), nn.AvgPool2d(2), conv(4, 2, 2), nn.ReLU())
    in_128ths(relus)
    relus[3].weight.data *= 4
    spiking = from_model(relus, SHAPE, batch_size=1, synops=False).spiking_model
    conversion = convert_with_checks(relus, SHAPE)
    assert_plays_alike(conversion.program, spiking, SHAPE)
    assert ("", "relu") in [(check.layer, check.rule) for check in conversion.checks]
