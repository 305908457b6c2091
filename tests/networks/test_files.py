"""Model files that hold networks, and ReLU networks made to spike."""

import logging

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sinabs import activation
from sinabs import layers as sl
from sinabs.from_torch import from_model
from sinabs.network import Network
from torch import nn

from speckflex.errors import FileFormatError, NetworkError
from speckflex.networks.copying import copy_network
from speckflex.networks.files import load_network, save_network
from speckflex.networks.neurons import FusedIAFSqueeze, Triangular
from speckflex.networks.paper import NETWORKS
from speckflex.networks.spiking import spiking_network
from speckflex.samna_access import load_samna


def _same(one: nn.Module, other: nn.Module, shape: tuple[int, ...]) -> None:
    """Check that two networks at rest answer the same, with names and modes the same."""
    names = [(name, type(module), module.training) for name, module in one.named_modules()]
    assert names == [(n, type(module), module.training) for n, module in other.named_modules()]
    events = torch.poisson(torch.full(shape, 0.7), generator=torch.Generator().manual_seed(1))
    for network in (one, other):
        for module in network.modules():
            if isinstance(module, sl.StatefulLayer):
                module.reset_states()
    torch.testing.assert_close(one(events), other(events), rtol=0, atol=0)


NEURONS = [
    {},
    {"spike_threshold": torch.tensor(0.3), "min_v_mem": -0.5},
    {"spike_threshold": torch.rand(4, 6, 6) + 0.1, "min_v_mem": torch.full((4, 6, 6), -1.0)},
    {"spike_fn": activation.SingleSpike, "reset_fn": activation.MembraneReset()},
    {"spike_fn": activation.MaxSpike(3), "reset_fn": activation.MembraneSubtract(0.5)},
    {"surrogate_grad_fn": activation.Heaviside()},
    {"surrogate_grad_fn": activation.Gaussian()},
    {"surrogate_grad_fn": activation.MultiGaussian()},
    {"surrogate_grad_fn": activation.PeriodicExponential()},
    {"record_states": True},
]


@pytest.mark.parametrize("options", NEURONS, ids=[", ".join(options) for options in NEURONS])
@pytest.mark.parametrize("training", [True, False])
def test_every_neuron_comes_back_as_it_was_saved(options, training, tmp_path):
    network = nn.Sequential(nn.Conv2d(2, 4, 3), sl.IAFSqueeze(batch_size=1, **options))
    network.train(training)
    network(torch.rand(5, 2, 8, 8))
    save_network(network, tmp_path / "model.pt")
    _same(network, load_network(tmp_path / "model.pt"), (5, 2, 8, 8))


@pytest.mark.parametrize("surrogate", [activation.SingleExponential(), Triangular(0.5)])
def test_fused_neurons_come_back_as_they_were_saved(surrogate, tmp_path):
    neuron = FusedIAFSqueeze(batch_size=1, min_v_mem=-1.0, surrogate_grad_fn=surrogate)
    network = nn.Sequential(nn.Conv2d(2, 4, 3), neuron)
    network(torch.rand(5, 2, 8, 8))
    save_network(network, tmp_path / "model.pt")
    loaded = load_network(tmp_path / "model.pt")
    _same(network, loaded, (5, 2, 8, 8))
    assert loaded[1].surrogate_grad_fn == surrogate


def test_neurons_with_a_time_axis_come_back_as_they_were_saved(tmp_path):
    network = nn.Sequential(sl.Repeat(nn.Conv2d(2, 4, 3)), sl.IAF(), sl.Repeat(sl.SumPool2d(2)))
    save_network(network, tmp_path / "model.pt")
    _same(network, load_network(tmp_path / "model.pt"), (2, 3, 2, 8, 8))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_built_in_networks_come_back_as_they_were_saved(name, tmp_path):
    network = NETWORKS[name](width=16)
    save_network(network, tmp_path / "model.pt")
    _same(network, load_network(tmp_path / "model.pt"), (2, *NETWORKS[name].input_shape))


def test_layers_of_every_kind_come_back(tmp_path):
    network = nn.Sequential(
        nn.ZeroPad2d(1),
        nn.Conv2d(2, 4, 3, groups=2),
        nn.BatchNorm2d(4),
        sl.IAFSqueeze(batch_size=1),
        nn.Dropout2d(0.5),
        nn.Sequential(nn.AvgPool2d(2), nn.Identity()),
        sl.SumPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 3),
        nn.BatchNorm1d(3),
    ).eval()
    save_network(network, tmp_path / "model.pt")
    _same(network, load_network(tmp_path / "model.pt"), (5, 2, 8, 8))


def test_the_backends_camera_layer_comes_back(tmp_path):
    load_samna()
    from sinabs.backend.dynapcnn.dvs_layer import DVSLayer

    network = nn.Sequential(DVSLayer((8, 8), pool=(2, 2), flip_x=True), nn.Conv2d(2, 4, 3))
    save_network(network, tmp_path / "model.pt")
    _same(network, load_network(tmp_path / "model.pt"), (5, 2, 8, 8))


def test_saving_forgets_states_and_leaves_the_network_alone(tmp_path):
    network = nn.Sequential(nn.Conv2d(2, 4, 3), sl.IAFSqueeze(batch_size=1))
    network(torch.rand(5, 2, 8, 8))
    state = network[1].v_mem.clone()
    save_network(network, tmp_path / "model.pt")
    assert load_network(tmp_path / "model.pt")[1].v_mem.numel() == 0
    torch.testing.assert_close(network[1].v_mem, state)


def test_saving_to_a_folder_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(NetworkError, match="can't be written"):
        save_network(nn.Sequential(nn.Linear(2, 2)), tmp_path / "nowhere" / "model.pt")


def test_saving_over_a_file_replaces_it_whole(tmp_path):
    path = tmp_path / "model.pt"
    path.write_text("something else")
    save_network(nn.Sequential(nn.Linear(2, 3)), path)
    assert load_network(path)[0].out_features == 3
    assert [item.name for item in tmp_path.iterdir()] == ["model.pt"]


@settings(max_examples=20)
@given(channels=st.integers(1, 5), training=st.lists(st.booleans(), min_size=3, max_size=3))
def test_a_copy_shares_nothing_and_keeps_each_layers_mode(channels, training):
    network = nn.Sequential(
        nn.Conv2d(1, channels, 3), nn.BatchNorm2d(channels), sl.IAFSqueeze(batch_size=1)
    )
    for module, mode in zip(network, training, strict=True):
        module.training = mode
    copied = copy_network(network)
    assert [module.training for module in copied] == training
    tensors = [{t.data_ptr() for t in net.state_dict().values()} - {0} for net in (network, copied)]
    assert not tensors[0] & tensors[1]


@pytest.mark.parametrize(
    ("path", "message"), [("nowhere.pt", "no such file"), (".", "is a folder")]
)
def test_a_path_without_a_file_is_one_line(path, message, tmp_path):
    with pytest.raises(NetworkError, match=message):
        load_network(tmp_path / path)


def test_a_program_is_not_taken_for_a_network(tmp_path):
    (tmp_path / "model.speck").touch()
    with pytest.raises(FileFormatError, match="is a Program already"):
        load_network(tmp_path / "model.speck")


UNSUITABLE = {
    "LSTM": (lambda: nn.LSTM(4, 4), "is recurrent"),
    "GRUCell": (lambda: nn.GRUCell(4, 4), "is recurrent"),
    "LIFRecurrent": (lambda: sl.LIFRecurrent(10.0, nn.Linear(4, 4)), "is recurrent"),
    "IAFRecurrent": (lambda: sl.IAFRecurrent(nn.Linear(4, 4)), "is recurrent"),
    "LIF": (lambda: sl.LIF(10.0), "leaks"),
    "LIFSqueeze": (lambda: sl.LIFSqueeze(tau_mem=10.0, batch_size=1), "leaks"),
    "ALIF": (lambda: sl.ALIF(10.0, 10.0), "leaks"),
    "ExpLeakSqueeze": (lambda: sl.ExpLeakSqueeze(tau_mem=10.0, batch_size=1), "leaks"),
    "IAFSqueeze": (lambda: sl.IAFSqueeze(batch_size=1, tau_syn=5.0), "tau_syn"),
}


@pytest.mark.parametrize("kind", UNSUITABLE)
def test_a_layer_that_speck_lacks_is_refused_by_name_type_and_reason(kind, tmp_path):
    make, reason = UNSUITABLE[kind]
    network = nn.Sequential()
    network.add_module("first", nn.Linear(4, 4))
    network.add_module("odd", make())
    torch.save(network, tmp_path / "model.pt")
    with pytest.raises(NetworkError, match=rf"model\.pt: layer odd \({kind}\).*{reason}") as caught:
        load_network(tmp_path / "model.pt")
    assert "\n" not in str(caught.value)


def test_a_network_without_weights_is_refused(tmp_path):
    torch.save(nn.Sequential(nn.Flatten(), sl.IAFSqueeze(batch_size=1)), tmp_path / "model.pt")
    with pytest.raises(NetworkError, match="no convolution and no linear layer"):
        load_network(tmp_path / "model.pt")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_layer(value, tmp_path):
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    network[1].weight.data[0, 0] = value
    torch.save(network, tmp_path / "model.pt")
    with pytest.raises(NetworkError, match=r"layer 1 \(Linear\) has 1 values in its weight"):
        load_network(tmp_path / "model.pt")


def _relu_network(relu: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    network = nn.Sequential()
    network.add_module("first", nn.Conv2d(2, 4, 3, bias=False))
    network.add_module("active", relu())
    network.add_module("rest", nn.Sequential(nn.Flatten(), nn.Linear(144, 3, bias=False), relu()))
    return network


@pytest.mark.parametrize("relu", [nn.ReLU, sl.NeuromorphicReLU])
@pytest.mark.parametrize("input_shape", [None, (2, 8, 8)])
def test_relus_become_neurons_under_the_same_names(relu, input_shape, tmp_path, caplog):
    network = _relu_network(relu)
    torch.save(network, tmp_path / "relu.pt")
    with caplog.at_level(logging.INFO, "speckflex"):
        spiking = load_network(tmp_path / "relu.pt", input_shape=input_shape)
    assert "2 ReLU layers become integrate-and-fire: active, rest.2" in caplog.text
    assert [name for name, _ in spiking.named_modules()] == [n for n, _ in network.named_modules()]
    for name in ("active", "rest.2"):
        neuron = spiking.get_submodule(name)
        assert isinstance(neuron, sl.IAFSqueeze)
        assert (neuron.batch_size, float(neuron.spike_threshold), float(neuron.min_v_mem)) == (
            1,
            1.0,
            -1.0,
        )
        assert not neuron.v_mem.any()


def test_a_converted_network_spikes_as_often_as_its_relus_say():
    network = _relu_network()
    spiking = spiking_network(network)
    events = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0)).expand(400, -1, -1, -1)
    rates = spiking(events).mean(0)
    torch.testing.assert_close(rates, network(events[:1])[0], rtol=0, atol=0.05)


def test_converted_neurons_share_no_threshold_with_each_other_or_with_sinabs():
    spiking = spiking_network(_relu_network())
    first, last = spiking.get_submodule("active"), spiking.get_submodule("rest.2")
    first.spike_threshold.data.fill_(7)
    assert float(last.spike_threshold) == 1
    assert float(sl.IAFSqueeze(batch_size=1).spike_threshold) == 1


def test_conversion_leaves_the_relu_network_as_it_was():
    network = _relu_network()
    spiking = spiking_network(network, input_shape=(2, 8, 8))
    spiking.get_submodule("first").weight.data.zero_()
    assert isinstance(network.get_submodule("active"), nn.ReLU)
    assert network.get_submodule("first").weight.any()
    assert not any("out_shape" in vars(module) for module in network.modules())


def test_an_input_shape_that_does_not_fit_a_relu_network_is_one_line():
    with pytest.raises(NetworkError, match=r"does not run on input \(1, 8, 8\)") as caught:
        spiking_network(_relu_network(), input_shape=(1, 8, 8))
    assert "\n" not in str(caught.value)


def test_one_relu_at_two_places_is_refused_by_both_names():
    relu = nn.ReLU()
    network = nn.Sequential(nn.Linear(4, 4), relu, nn.Linear(4, 4), relu)
    with pytest.raises(NetworkError, match="ReLU 3 is the same module as 1"):
        spiking_network(network)


class _Reuses(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.relu = nn.Linear(4, 4), nn.Linear(4, 4), nn.ReLU()

    def forward(self, x):
        return self.relu(self.second(self.relu(self.first(x))))


def test_a_relu_that_the_forward_pass_uses_twice_is_refused():
    with pytest.raises(NetworkError, match="relu is used at 2 places"):
        spiking_network(_Reuses())


def test_a_network_that_spikes_already_is_returned_itself():
    network = nn.Sequential(nn.Linear(4, 4), sl.IAFSqueeze(batch_size=1))
    assert spiking_network(network) is network


def test_of_a_sinabs_network_the_spiking_part_is_taken(tmp_path):
    whole = from_model(_relu_network(), (2, 8, 8), batch_size=1)
    torch.save(whole, tmp_path / "sinabs.pt")
    loaded = load_network(tmp_path / "sinabs.pt")
    assert isinstance(whole, Network)
    for neuron in (whole.spiking_model.active, whole.spiking_model.rest[2]):
        neuron.v_mem.detach_()
    _same(whole.spiking_model, loaded, (5, 2, 8, 8))


def test_states_that_a_file_carries_from_a_run_in_training_are_forgotten(tmp_path):
    network = nn.Sequential(nn.Conv2d(2, 4, 3), sl.IAFSqueeze(batch_size=1))
    network(torch.rand(5, 2, 8, 8))
    torch.save(network, tmp_path / "model.pt")
    loaded = load_network(tmp_path / "model.pt")
    assert not loaded[1].v_mem.requires_grad
    loaded(torch.rand(5, 2, 8, 8))
    assert loaded[1].v_mem.any()


def test_a_sinabs_network_without_a_spiking_part_is_refused():
    with pytest.raises(NetworkError, match="without spiking_model"):
        spiking_network(Network(nn.Linear(4, 4)))
