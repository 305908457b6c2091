"""The paper's networks: their weights, shapes, names and neurons."""

import pytest
import torch
from sinabs.activation import MembraneSubtract, MultiSpike, SingleExponential, SingleSpike
from sinabs.layers import IAFSqueeze
from torch import nn

from speckflex.errors import NetworkError
from speckflex.networks.paper import NETWORKS, NEURONS, build_network
from speckflex.training.mixed.stages import MixedTimestepNetwork


def count_weights(network: nn.Module, *kinds: type[nn.Module]) -> int:
    layers = [layer for layer in network.modules() if isinstance(layer, kinds)]
    return sum(parameter.numel() for layer in layers for parameter in layer.parameters())


@pytest.mark.parametrize(
    ("name", "weights", "norms"), [("nmnist-3c1fc", 6160, 0), ("gesture-4c2fc", 48592, 176)]
)
def test_weights_are_as_many_as_published(name, weights, norms):
    network = build_network(name)
    assert count_weights(network, nn.Conv2d, nn.Linear) == weights
    assert count_weights(network, nn.BatchNorm2d) == norms


def test_vggsnn_is_as_large_as_published_within_half_a_percent():
    weights = count_weights(build_network("vggsnn"), nn.Conv2d, nn.Linear)
    assert weights == pytest.approx(9_228_416, rel=0.005)


def test_layers_have_telling_names_in_order():
    assert [
        name for name, _ in build_network("nmnist-3c1fc", batch_norm=True).named_children()
    ] == [
        *("conv1", "norm1", "spike1", "conv2", "norm2", "spike2", "pool2"),
        *("conv3", "norm3", "spike3", "pool3", "flatten", "linear4", "spike4"),
    ]
    names = [name for name, _ in build_network("gesture-4c2fc").named_children()]
    assert names[0] == "pool0"
    assert names[-4:] == ["flatten", "linear5", "spike5", "linear6"]


@pytest.mark.parametrize("voting", ["spikes", "potential"])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_runs_and_learns(name, batch_norm, voting):
    options = {"voting": voting, "batch_norm": batch_norm, "width": 16, "n_classes": 7}
    network = build_network(name, **options)
    shape = NETWORKS[name].input_shape
    frames = torch.randint(0, 9, (2, 3, *shape), generator=torch.Generator().manual_seed(0))
    output = MixedTimestepNetwork(network)(frames.float())
    output.mean(1).sum().backward()
    assert output.shape == (2, 3, 7)
    assert network.conv1.weight.grad.isfinite().all()
    assert isinstance(list(network)[-1], nn.Linear if voting == "potential" else IAFSqueeze)


def test_vggsnn_takes_the_whole_sensor_behind_a_pooling():
    network = nn.Sequential(
        nn.AvgPool2d(4), build_network("vggsnn", width=8, input_shape=(2, 32, 32))
    )
    assert network(torch.ones(1, 2, 128, 128)).shape == (1, 10)


@pytest.mark.parametrize("name", NETWORKS)
def test_no_convolution_or_linear_layer_has_a_bias(name):
    for layer in build_network(name, width=16).modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            assert layer.bias is None


@pytest.mark.parametrize(
    ("name", "spike_fn", "spikes"),
    [("multi-spike", MultiSpike, [2.0, 0.0, 0.0]), ("single-spike", SingleSpike, [1.0, 1.0, 0.0])],
)
def test_neurons_have_the_papers_settings(name, spike_fn, spikes):
    neuron = NEURONS[name]()
    assert neuron.spike_fn is spike_fn
    assert neuron.reset_fn == MembraneSubtract()
    assert neuron.surrogate_grad_fn == SingleExponential()
    assert float(neuron.spike_threshold) == 1.0
    assert float(neuron.min_v_mem) == -1.0
    assert neuron(torch.tensor([[2.5], [0.0], [-9.0]])).flatten().tolist() == spikes
    assert neuron.v_mem.tolist() == [[-1.0]]


def test_neurons_share_nothing():
    first, second = NEURONS["multi-spike"](), NEURONS["multi-spike"]()
    with torch.no_grad():
        first.spike_threshold.fill_(3.0)
        first.min_v_mem.fill_(-3.0)
    assert float(second.spike_threshold) == 1.0
    assert float(second.min_v_mem) == -1.0


def test_each_neuron_comes_from_the_factory():
    network = build_network("nmnist-3c1fc", neuron=lambda: IAFSqueeze(num_timesteps=3))
    assert [layer.num_timesteps for layer in network if isinstance(layer, IAFSqueeze)] == [3] * 4


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lenet", {}, "network 'lenet' is not known: choose one of nmnist-3c1fc"),
        ("vggsnn", {"votes": 1}, "network vggsnn: option 'votes' is not known"),
        ("nmnist-3c1fc", {"voting": "rate"}, "voting 'rate' is not known: choose one of spikes"),
        ("nmnist-3c1fc", {"width": 1}, r"conv1 is empty at width 1 and input \(2, 34, 34\)"),
        ("nmnist-3c1fc", {"input_shape": (2, 4, 34)}, "conv3 is empty at width 16"),
        ("nmnist-3c1fc", {"n_classes": 0}, "0 output classes are too few"),
    ],
)
def test_bad_choices_are_refused(name, options, message):
    with pytest.raises(NetworkError, match=message):
        build_network(name, **options)
