"""State dicts and the factories that make their networks."""

import re
import sys

import pytest
import torch
from sinabs import layers as sl
from torch import nn

from speckflex.errors import NetworkError
from speckflex.networks.files import load_network
from speckflex.networks.paper import NETWORKS

FACTORIES = """
import torch
from torch import nn

def mnist():
    layers = []
    for sizes in ((1, 20, 5), (20, 32, 5), (32, 128, 3)):
        layers += [nn.Conv2d(*sizes, bias=False), nn.ReLU(), nn.AvgPool2d(2)]
    layers += [nn.Flatten(), nn.Linear(128, 500, bias=False), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(500, 10, bias=False))

def small():
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(16, 2))

def fails():
    raise RuntimeError("first line\\nsecond line")

def nothing():
    return None

number = 3
"""


@pytest.fixture
def factories(tmp_path, monkeypatch):
    """The name of a module of factories in the working directory."""
    name = f"factories_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(FACTORIES)
    monkeypatch.chdir(tmp_path)
    yield name
    sys.modules.pop(name, None)


def _small() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(16, 2))


def _refusal(path, factory: str) -> str:
    with pytest.raises(NetworkError) as caught:
        load_network(path, factory=factory)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model_state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("new_format", [True, False])
def test_a_state_dict_fills_the_factorys_network(wrapper, prefix, new_format, factories, tmp_path):
    state = {prefix + key: value for key, value in _small().state_dict().items()}
    content = state if wrapper is None else {"epoch": 3, wrapper: state}
    path = tmp_path / "state.pt"
    torch.save(content, path, _use_new_zipfile_serialization=new_format)
    before = list(sys.path)
    network = load_network(path, factory=f"{factories}:small")
    for key, value in network.state_dict().items():
        torch.testing.assert_close(value, state[prefix + key], rtol=0, atol=0)
    assert sys.path == before


@pytest.mark.parametrize("name", NETWORKS)
def test_a_state_dict_fills_a_built_in_network_whatever_its_neurons_remember(name, tmp_path):
    network = NETWORKS[name]()
    if name != "vggsnn":
        network(torch.ones(2, *NETWORKS[name].input_shape))
    torch.save(network.state_dict(), tmp_path / "state.pt")
    loaded = load_network(tmp_path / "state.pt", factory=name)
    for key, parameter in network.named_parameters():
        torch.testing.assert_close(loaded.get_parameter(key), parameter)
    assert not any(
        module.v_mem.any() for module in loaded.modules() if isinstance(module, sl.StatefulLayer)
    )


def test_sinabs_mnist_state_dict_becomes_a_spiking_network(shared_data, factories):
    path = shared_data / "models" / "sinabs_mnist_params.pt"
    network = load_network(path, factory=f"{factories}:mnist", input_shape=(1, 28, 28))
    spiking = [
        name for name, module in network.named_modules() if isinstance(module, sl.IAFSqueeze)
    ]
    assert spiking == ["1", "4", "7", "11"]
    state = torch.load(path, weights_only=True, map_location="cpu")
    for key, value in state.items():
        torch.testing.assert_close(network.get_parameter(key), value)


def test_without_a_factory_the_remedy_is_named(tmp_path):
    torch.save(_small().state_dict(), tmp_path / "state.pt")
    with pytest.raises(NetworkError, match=r"state dict of 4 tensors.*package\.module:factory"):
        load_network(tmp_path / "state.pt")


def test_a_factory_for_a_whole_module_is_refused(tmp_path):
    torch.save(_small(), tmp_path / "model.pt")
    assert "leave it out" in _refusal(tmp_path / "model.pt", "nmnist-3c1fc")


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("nmnist", "nmnist-3c1fc"),
        ("no_such_module_at_all:small", "can't be imported"),
        ("{}:missing", "can't be imported"),
        ("{}:fails", "failed (RuntimeError: first line)"),
        ("{}:nothing", "returned a NoneType"),
        ("{}:number", "is a int"),
        (":small", "is not known"),
        ("{}:", "is not known"),
    ],
)
def test_a_factory_that_makes_no_network_is_one_line(factory, message, factories, tmp_path):
    torch.save(_small().state_dict(), tmp_path / "state.pt")
    assert message in _refusal(tmp_path / "state.pt", factory.format(factories))


def test_a_wrong_shape_names_the_key_both_shapes_and_how_many_more(factories, tmp_path):
    state = nn.Sequential(nn.Conv2d(2, 8, 3), nn.Flatten(), nn.Linear(32, 2)).state_dict()
    torch.save(state, tmp_path / "state.pt")
    message = _refusal(tmp_path / "state.pt", f"{factories}:small")
    assert "0.weight has shape (8, 2, 3, 3), the network needs (4, 2, 3, 3)" in message
    assert "(2 more keys differ)" in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("2.bias"), r"2.bias of shape (2,) is missing"),
        (lambda state: state.update(new=torch.ones(3)), r"new of shape (3,) is unknown"),
    ],
)
def test_a_missing_or_unknown_key_is_named(change, message, factories, tmp_path):
    state = _small().state_dict()
    change(state)
    torch.save(state, tmp_path / "state.pt")
    assert re.search(re.escape(message), _refusal(tmp_path / "state.pt", f"{factories}:small"))


@pytest.mark.parametrize("content", [{}, [1, 2], 3, {"a": 1}, {1: torch.ones(2)}, torch.ones(2)])
def test_a_file_without_tensors_by_name_is_refused(content, tmp_path):
    torch.save(content, tmp_path / "state.pt")
    assert "neither a module nor a dict of tensors" in _refusal(tmp_path / "state.pt", "vggsnn")
