"""A configuration is read back into the program from which it was written."""

from dataclasses import replace

import numpy as np
import pytest
from virtual_boards import configuration_of, single_core, square_chain

from speckflex.chips.speck import SPECK2E
from speckflex.program.program import Program
from speckflex.program.records import InputStage
from speckflex.virtual._configuration import ConfigurationError, SpeckConfiguration
from speckflex.virtual._decode import decode_configuration, network_order


@pytest.mark.parametrize("seed", range(20))
def test_a_decoded_configuration_has_the_hash_of_its_program(seed):
    program = square_chain(np.random.default_rng(seed), n_cores=3)
    decoded = decode_configuration(configuration_of(program), "speck2e", entry=0)
    assert decoded.sha256 == named(program).sha256


def named(program):
    """Return the program with the names that the stand-in gives to cores."""
    cores = tuple(replace(core, name=f"core {core.chip_core}") for core in program.cores)
    return Program(cores, program.input, program.chip)


def test_cores_are_sorted_in_the_order_of_the_network():
    program = square_chain(np.random.default_rng(5), n_cores=3)
    cores = [
        replace(core, chip_core=place) for core, place in zip(program.cores, (7, 2, 4), strict=True)
    ]
    configuration = configuration_of(Program(tuple(cores), program.input, "speck2e"))
    assert network_order(configuration) == [7, 2, 4]
    decoded = decode_configuration(configuration, "speck2e", entry=7)
    assert [core.chip_core for core in decoded.cores] == [7, 2, 4]
    assert [[d.core for d in core.destinations] for core in decoded.cores] == [[1], [2], []]


def test_decimator_balancer_and_leak_are_decoded():
    configuration = configuration_of(single_core())
    layer = configuration.cnn_layers[0]
    layer.output_decimator_enable, layer.output_decimator_interval = True, 3
    layer.input_congestion_balancer_enable = True
    layer.biases = [-7]
    core = decode_configuration(configuration, "speck2e", entry=0).cores[0]
    assert (core.decimator_interval, core.congestion_balancer, core.bias) == (3, True, None)
    layer.leak_enable = True
    assert decode_configuration(configuration, "speck2e", entry=0).cores[0].bias == [-7]


def test_the_dvs_layer_becomes_the_input_stage():
    configuration = configuration_of(single_core(size=8))
    dvs = configuration.dvs_layer
    dvs.pooling, dvs.origin, dvs.cut = {"x": 4, "y": 2}, {"x": 3, "y": 5}, {"x": 10, "y": 12}
    dvs.merge, dvs.mirror, dvs.mirror_diagonal = True, {"x": True}, True
    dvs.off_channel = False
    dvs.destinations[0].enable = True
    stage = decode_configuration(configuration, "speck2e", entry=SPECK2E.dvs.layer).input
    assert stage == InputStage(
        (2, 128, 128),
        pooling=(2, 4),
        origin=(5, 3),
        size=(8, 8),
        merge_polarities=True,
        keep_off=False,
        mirror_x=True,
        swap_xy=True,
    )


def test_events_for_a_core_without_weights_are_refused():
    with pytest.raises(ConfigurationError, match="core 3 has no weights"):
        decode_configuration(configuration_of(single_core()), "speck2e", entry=3)


def test_a_circle_of_cores_is_refused_with_their_numbers():
    configuration = configuration_of(single_core())
    configuration.cnn_layers[4].assign(configuration.cnn_layers[0])
    for core, target in ((0, 4), (4, 0)):
        configuration.cnn_layers[core].destinations[0].enable = True
        configuration.cnn_layers[core].destinations[0].layer = target
    with pytest.raises(ConfigurationError, match="cores 0, 4 feed each other"):
        network_order(configuration)


def test_an_empty_configuration_has_no_cores_in_order():
    assert network_order(SpeckConfiguration()) == []
