"""A program's integers in time steps, against the slow version of the tests."""

from dataclasses import replace

import numpy as np
import programs
import pytest
from networks_of_tests import small_network
from stepped import exact_weights, neuron, play_steps

from speckflex.conversion.convert import convert
from speckflex.deployment.eight_bit import EightBitSteps
from speckflex.deployment.torch_reference import TorchReference
from speckflex.events.frames import to_frames

SHAPE = (2, 34, 34)


@pytest.mark.parametrize("kind", ["random_chain", "random_graph"])
@pytest.mark.parametrize("seed", range(8))
def test_random_programs_spike_as_in_the_slow_version(kind, seed):
    rng = np.random.default_rng(seed)
    program = getattr(programs, kind)(rng, int(rng.integers(1, 4)))
    # the slow version has no such stage
    program = replace(program, input=replace(program.input, keep_off=True, keep_on=True))
    samples = [programs.random_events(rng, program.input.shape, 40) for _ in range(3)]
    recording = EightBitSteps(program, bins=4).play(samples)
    for index, sample in enumerate(samples):
        slow = play_steps(program, to_frames(sample, program.input.shape, 4))
        for layer, spikes in enumerate(slow):
            np.testing.assert_array_equal(recording.counts(layer)[index], spikes.sum(0))


def test_a_network_whose_weights_are_integers_loses_nothing(rng):
    # average pooling over 4 x 4 pixels divides by 16
    network = exact_weights(small_network(), {"linear": 16})
    network.spike1, network.spike2 = neuron(150), neuron(400)
    program = convert(network, SHAPE)
    samples = [programs.random_events(rng, SHAPE, 900)]
    exact = EightBitSteps(program, network, bins=5).play(samples)
    torch_run = TorchReference(network, program, bins=5).play(samples)
    assert exact.counts(-1).any()
    for layer in range(2):
        np.testing.assert_array_equal(exact.counts(layer), torch_run.counts(layer))


def test_potentials_are_the_sums_of_the_integers(rng):
    network = small_network(spiking_output=False)
    program = convert(network, SHAPE)
    sample = programs.random_events(rng, SHAPE, 500)
    recording = EightBitSteps(program, network, bins=6).play([sample])
    spikes = play_steps(program, to_frames(sample, SHAPE, 6))[0]
    pooled = spikes[:, :, :16, :16].reshape(6, 4, 4, 4, 4, 4)
    expected = np.einsum("tcyixj,ocyx->o", pooled, program.cores[1].weights.astype(np.int64))
    np.testing.assert_array_equal(recording.layer(-1).potentials.ravel(), expected)
