"""The paper's networks: their weights, shapes, names and neurons."""

from itertools import pairwise

import pytest
import torch
from sinabs.activation import MembraneSubtract, MultiSpike, SingleExponential, SingleSpike
from sinabs.layers import IAFSqueeze
from torch import nn

from speckflex.errors import NetworkError
from speckflex.networks.fold import fold_batchnorm
from speckflex.networks.paper import NETWORKS, NEURONS, build_network, own_granularity
from speckflex.training.mixed.stages import MixedTimestepNetwork, split_stages
from speckflex.training.pipeline import add_voting_neuron


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


def test_vggsnn_is_as_large_as_the_published_class():
    """Its convolutions and the linear layer by hand; two values a channel of batch norm."""
    channels = [2, 64, 128, 256, 256, 512, 512, 512, 512]
    convolutions = sum(9 * a * b for a, b in pairwise(channels))
    network = build_network("vggsnn")
    assert count_weights(network, nn.Conv2d, nn.Linear) == convolutions + 2048 * 10 == 9_237_632
    kinds = (nn.Conv2d, nn.Linear, nn.BatchNorm2d)
    assert count_weights(network, *kinds) == 9_243_136
    assert isinstance(network.pool0, nn.AvgPool2d)
    assert network.pool0.kernel_size == 4


@pytest.mark.parametrize(("side", "pooled"), [(128, 32), (48, 48), (32, 32)])
def test_vggsnn_pools_the_whole_sensor_alone(side, pooled):
    network = build_network("vggsnn", width=8, input_shape=(2, side, side))
    assert network.linear9.in_features == 8 * (pooled // 16) ** 2
    assert network(torch.ones(1, 2, side, side)).shape == (1, 10)


STAGES = {
    "nmnist-3c1fc": [["conv1"], ["conv2"], ["conv3"], ["linear4"]],
    "gesture-4c2fc": [["conv1", "conv2"], ["conv3", "conv4"], ["linear5", "linear6"]],
    "vggsnn": [
        ["conv1", "conv2"],
        ["conv3", "conv4"],
        ["conv5", "conv6"],
        ["conv7", "conv8", "linear9"],
    ],
}


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_stages_are_the_published_ones(name, batch_norm):
    """Two convolutions in a stage [published code], one for 3C1FC, whose stages are not known."""
    network = build_network(name, width=16, batch_norm=batch_norm)
    names = {id(layer): name for name, layer in network.named_children()}
    kinds = (nn.Conv2d, nn.Linear)
    stages = split_stages(network, granularity=own_granularity(network))
    found = [[names[id(m)] for m in stage if isinstance(m, kinds)] for stage in stages]
    assert found == STAGES[name]


def test_a_network_is_known_after_folding_and_with_a_voting_neuron():
    network = build_network("gesture-4c2fc", width=16)
    assert own_granularity(add_voting_neuron(fold_batchnorm(network))) == 2
    assert own_granularity(nn.Sequential(nn.Conv2d(1, 1, 1), nn.Linear(1, 1))) == 1


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
