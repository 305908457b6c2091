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

def spiking(threshold=1.0, bound=-1.0):
    import sinabs.layers as sl
    neurons = sl.IAFSqueeze(batch_size=1, spike_threshold=threshold, min_v_mem=bound)
    return nn.Sequential(nn.Conv2d(2, 4, 3), neurons)

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


def test_with_a_factory_a_whole_module_gives_its_weights_alone(factories, tmp_path):
    whole = nn.Sequential(nn.Conv2d(2, 4, 3, stride=2), nn.Flatten(), nn.Linear(16, 2))
    torch.save(whole, tmp_path / "model.pt")
    network = load_network(tmp_path / "model.pt", factory=f"{factories}:small")
    assert network[0].stride == (1, 1)
    assert torch.equal(network[2].weight, whole[2].weight)


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


def _spiking_state(**settings) -> dict[str, torch.Tensor]:
    """Return weights of the factory `spiking`, with these settings of its neurons."""
    weights = nn.Sequential(nn.Conv2d(2, 4, 3)).state_dict()
    return weights | {f"1.{key}": torch.tensor(value) for key, value in settings.items()}


def _settings(network: nn.Module) -> tuple[float, float]:
    return float(network[1].spike_threshold), float(network[1].min_v_mem)


def test_settings_that_a_file_lacks_stay_as_the_factory_made_them(factories, tmp_path, caplog):
    torch.save(_spiking_state(), tmp_path / "weights.pt")
    network = load_network(
        tmp_path / "weights.pt", factory=f"{factories}:spiking threshold=0.5 bound=-2.0"
    )
    assert _settings(network) == (0.5, -2)
    assert "the factory's 1.spike_threshold = 0.5, 1.min_v_mem = -2 stay" in caplog.text


def test_settings_in_a_file_are_taken_and_told_where_they_differ(factories, tmp_path, caplog):
    state = _spiking_state(spike_threshold=2.0, min_v_mem=-1.0, v_mem=[1.0, 2.0])
    torch.save(state, tmp_path / "weights.pt")
    network = load_network(tmp_path / "weights.pt", factory=f"{factories}:spiking")
    assert _settings(network) == (2, -1)
    assert not network[1].v_mem.any()
    assert "1.spike_threshold is 2 in the file and 1 in the factory: the file's is taken" in (
        caplog.text
    )
    assert "min_v_mem" not in caplog.text


def test_a_whole_set_of_equal_settings_needs_no_word(factories, tmp_path, caplog):
    torch.save(_spiking_state(spike_threshold=1.0, min_v_mem=-1.0), tmp_path / "weights.pt")
    load_network(tmp_path / "weights.pt", factory=f"{factories}:spiking")
    assert not caplog.text


def test_a_threshold_for_each_neuron_is_taken(factories, tmp_path):
    thresholds = torch.rand(4, 6, 6) + 0.5
    state = _spiking_state(min_v_mem=-1.0) | {"1.spike_threshold": thresholds}
    torch.save(state, tmp_path / "weights.pt")
    network = load_network(tmp_path / "weights.pt", factory=f"{factories}:spiking")
    assert torch.equal(network[1].spike_threshold, thresholds)


def test_a_setting_that_the_factorys_neurons_do_not_have_is_refused(factories, tmp_path):
    torch.save(_spiking_state(spike_threshold=1.0, min_v_mem=-3.0), tmp_path / "weights.pt")
    message = _refusal(tmp_path / "weights.pt", f"{factories}:spiking bound=None")
    assert "1.min_v_mem is -3, and the factory's neurons have no min_v_mem" in message
    assert "make them with min_v_mem=-3" in message


@pytest.mark.parametrize("value", [float("nan"), 3])
def test_a_setting_that_is_no_number_is_refused(value, factories, tmp_path):
    torch.save(_spiking_state(spike_threshold=value), tmp_path / "weights.pt")
    assert "1.spike_threshold is" in _refusal(tmp_path / "weights.pt", f"{factories}:spiking")


SNNTORCH = {
    "threshold": 0.5,
    "beta": 1.0,
    "graded_spikes_factor": 1.0,
    "reset_mechanism_val": 0,
}


def test_settings_of_snntorch_are_taken_for_those_of_sinabs(factories, tmp_path, caplog):
    torch.save(_spiking_state(**SNNTORCH), tmp_path / "weights.pt")
    network = load_network(tmp_path / "weights.pt", factory=f"{factories}:spiking")
    assert _settings(network) == (0.5, -1)
    assert "1.threshold is 0.5 in the file and 1 in the factory: the file's is taken" in caplog.text
    assert "1.min_v_mem = -1 stay" in caplog.text


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("beta", 0.9, "snnTorch's beta = 0.9, and Speck's neurons do not leak"),
        ("alpha", [1.0, 0.5], "do not leak"),
        ("graded_spikes_factor", 2.0, "send plain spikes"),
        ("reset_mechanism_val", 1, r"reset mechanism 'zero', the factory's have 'subtract'"),
        ("reset_mechanism_val", 2, r"reset mechanism 'none'"),
    ],
)
def test_what_sinabs_neurons_do_not_do_in_snntorchs_place_is_refused(
    setting, value, message, factories, tmp_path
):
    state = _spiking_state(**{**SNNTORCH, setting: value})
    torch.save(state, tmp_path / "weights.pt")
    assert message in _refusal(tmp_path / "weights.pt", f"{factories}:spiking")
