"""Modules whose names hold characters that a program does not keep."""

from torch import nn

from speckflex.networks.layer_kinds import module_called
from speckflex.program.records import Core


def test_a_module_is_found_by_the_name_that_its_program_keeps():
    network = nn.Sequential()
    network.add_module("red\x1b[31m", nn.ReLU())
    kept = Core("a", [[[[1]]]], 1, 0, (1, 1, 1), neuron_name="red\x1b[31m").neuron_name
    assert kept != "red\x1b[31m"
    assert module_called(network, kept) is network[0]
    assert module_called(network, "blue") is None
