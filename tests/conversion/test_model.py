"""Reading a model tells what it does, stage by stage."""

import pytest
from networks_of_tests import small_network

from speckflex.conversion.model import check_model, convert_model, read_model
from speckflex.networks.files import save_network

SHAPE = (2, 34, 34)


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "net.pt"
    save_network(small_network(norm=True), path)
    return path


def test_reading_a_network_tells_its_stages_in_their_order(net):
    told: list[str] = []
    read_model(net, input_shape=SHAPE, progress=told.append)
    assert told == ["loading net.pt", "folding net.pt", "converting net.pt"]


def test_checking_a_network_tells_its_stages_in_their_order(net):
    told: list[str] = []
    check_model(net, input_shape=SHAPE, progress=told.append)
    assert told == ["loading net.pt", "folding net.pt", "checking net.pt"]


def test_a_network_in_memory_and_a_program_are_not_folded_twice(tmp_path):
    told: list[str] = []
    network = small_network()
    convert_model(network, input_shape=SHAPE, progress=told.append).program.save(
        tmp_path / "net.speck"
    )
    read_model(tmp_path / "net.speck", progress=told.append)
    assert told == ["folding Sequential", "converting Sequential", "loading net.speck"]
