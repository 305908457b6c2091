"""Cutting networks into stages and running each at its own number of time steps."""

import copy

import pytest
import torch
from sinabs.layers import IAF, FlattenTime, IAFSqueeze, UnflattenTime
from torch import nn

from speckflex.errors import NetworkError, TrainingError
from speckflex.networks.paper import build_network
from speckflex.training.mixed.stages import MixedTimestepNetwork, reset_states, split_stages
from speckflex.training.mixed.temporal import TemporalTransform
from speckflex.training.mixed.timesteps import group_boundaries


def neuron() -> IAFSqueeze:
    return IAFSqueeze(batch_size=1, spike_threshold=torch.tensor(1.0), min_v_mem=torch.tensor(-1.0))


def block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), neuron())


def small_network() -> nn.Sequential:
    """Four weight layers: two nested, one with pooling and dropout behind it, a readout.

    The weights are quarters, and so all sums are exact in binary: they do not depend on the order
    in which a processor's library adds them up.
    """
    network = nn.Sequential(
        nn.AvgPool2d(2),
        nn.Sequential(block(2, 4), nn.Dropout(0.0), nn.Sequential(block(4, 4), nn.AvgPool2d(2))),
        nn.Flatten(),
        nn.Linear(16, 6, bias=False),
        neuron(),
        nn.Linear(6, 3, bias=False),
    )
    generator = torch.Generator().manual_seed(5)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            quarters = torch.randint(-4, 6, parameter.shape, generator=generator) / 4
            parameter.data.copy_(quarters)
    return network


def frames(batch: int = 3, time: int = 7) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 4, (batch, time, 2, 8, 8), generator=generator).float()


def names_of(network: nn.Module, stages: list[nn.Sequential]) -> list[list[str]]:
    """Name each stage's layers as the network does."""
    names = {id(module): name for name, module in network.named_modules()}
    return [[names[id(layer)] for layer in stage] for stage in stages]


def test_each_weight_layer_with_what_follows_it_is_a_stage():
    network = small_network()
    assert names_of(network, split_stages(network)) == [
        ["0", "1.0.0", "1.0.1", "1.1"],
        ["1.2.0.0", "1.2.0.1", "1.2.1", "2"],
        ["3", "4", "5"],
    ]


def test_granularity_joins_blocks_from_the_front():
    network = small_network()
    layers = [len(stage) for stage in split_stages(network, granularity=2)]
    assert layers == [8, 3]
    assert len(split_stages(network, granularity=3)) == 1
    assert len(split_stages(network, granularity=99)) == 1


def test_a_block_that_is_no_chain_is_kept_whole():
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = block(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.inner(x)

    network = nn.Sequential(Residual(), Residual(), nn.AvgPool2d(2))
    assert names_of(network, split_stages(network)) == [["0"], ["1", "2"]]


def test_a_module_around_one_chain_is_split_too():
    class Wrapper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.sequence = small_network()

    wrapper = Wrapper()
    assert names_of(wrapper, split_stages(wrapper))[2] == ["sequence.3", "sequence.4", "sequence.5"]


def test_a_layer_used_twice_runs_twice():
    shared = nn.Linear(4, 4, bias=False)
    network = nn.Sequential(shared, neuron(), shared, neuron())
    assert [len(stage) for stage in split_stages(network)] == [2, 2]


@pytest.mark.parametrize("name", ["nmnist-3c1fc", "gesture-4c2fc", "vggsnn"])
def test_the_papers_networks_have_one_stage_a_neuron_layer(name):
    network = build_network(name, width=16)
    n_neurons = sum(isinstance(layer, IAFSqueeze) for layer in network)
    assert len(split_stages(network)) == n_neurons


def test_networks_that_cannot_be_split_are_refused():
    with pytest.raises(NetworkError, match="has no spiking neuron layer"):
        split_stages(nn.Sequential(nn.Linear(3, 3), nn.ReLU()))
    with pytest.raises(NetworkError, match="Bilinear is no chain of layers"):
        split_stages(nn.Bilinear(2, 2, 2))
    with pytest.raises(TrainingError, match="granularity: 0 is below 1"):
        split_stages(small_network(), granularity=0)


def run_stage(stage: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """Run a stage on one sample after another, from rest, as a batch of one."""
    outputs = []
    for sample in inputs:
        reset_states(stage)
        outputs.append(stage(sample))
    return torch.stack(outputs)


@pytest.mark.parametrize("timesteps", [(7, 7, 7), (7, 3, 5), (2, 9, 1), (1, 1, 1), (10, 4, 10)])
def test_each_stage_runs_at_its_own_length(timesteps):
    network = small_network()
    expected = frames()
    for stage, length in zip(split_stages(network), timesteps, strict=True):
        expected = run_stage(stage, TemporalTransform(length)(expected))
    output = MixedTimestepNetwork(network)(frames(), timesteps)
    assert output.shape == (3, timesteps[-1], 3)
    assert torch.equal(output, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("timesteps", [None, (3, 7, 2), (7, 2, 9), (9, 9, 9)])
def test_frames_may_be_whole_numbers(timesteps, dtype):
    network, counts = small_network().to(dtype), (4 * frames()).to(torch.uint8)
    mixed = MixedTimestepNetwork(network)
    assert torch.equal(mixed(counts, timesteps), mixed(counts.to(dtype), timesteps))


def test_without_a_configuration_it_is_the_network_itself():
    network = small_network()
    expected = run_stage(network, frames())
    assert torch.equal(MixedTimestepNetwork(network)(frames()), expected)


def test_the_upsampling_rule_reaches_every_stage():
    network, inputs = small_network(), frames(time=2)
    summed = [
        MixedTimestepNetwork(network, upsampling=rule)(inputs, (5, 5, 5)).sum()
        for rule in ("copy", "spread")
    ]
    by_hand = TemporalTransform(5, upsampling="spread")(inputs)
    assert summed[0] != summed[1]
    assert MixedTimestepNetwork(network)(by_hand).sum() == summed[1]


def test_given_stages_are_used():
    network = small_network()
    mixed = MixedTimestepNetwork(network, split_stages(network, granularity=3))
    assert mixed.n_stages == 1
    grouped = [
        frames()[:, a:b].sum(1)
        for a, b in zip(group_boundaries(4, 7), group_boundaries(4, 7)[1:], strict=False)
    ]
    expected = run_stage(network, torch.stack(grouped, 1))
    assert torch.equal(mixed(frames(), [4]), expected)


def test_parameters_are_shared_and_names_stay():
    network = small_network()
    before = list(network.state_dict())
    mixed = MixedTimestepNetwork(network)
    assert list(mixed.state_dict()) == [f"network.{name}" for name in before]
    assert {id(p) for p in mixed.parameters()} == {id(p) for p in network.parameters()}
    mixed(frames(), (3, 2, 4)).sum().backward()
    assert network[3].weight.grad.abs().sum() > 0


def test_a_pass_leaves_the_squeezing_as_it_was_and_takes_any_batch():
    network = small_network()
    mixed = MixedTimestepNetwork(network)
    for batch in (3, 1, 4):
        assert mixed(frames(batch), (4, 2, 3)).shape == (batch, 3, 3)
    assert {(m.batch_size, m.num_timesteps) for m in network.modules() if isinstance(m, IAF)} == {
        (1, -1)
    }


def test_squeezing_is_put_back_after_an_error():
    network = small_network()
    with pytest.raises(RuntimeError):
        MixedTimestepNetwork(network)(torch.zeros(2, 3, 5, 8, 8))
    assert network[4].batch_size == 1


def test_every_pass_starts_from_rest():
    mixed = MixedTimestepNetwork(small_network())
    first = mixed(frames(), (5, 3, 4))
    first.sum().backward()
    assert torch.equal(mixed(frames(), (5, 3, 4)), first)
    mixed(frames(), (5, 3, 4)).sum().backward()


def test_reset_states_forgets_the_shape_of_the_batch():
    network = small_network()
    before = {name: value.shape for name, value in network.state_dict().items()}
    mixed = MixedTimestepNetwork(network)
    mixed(frames())
    assert network[4].v_mem.shape == (3, 6)
    mixed.reset_states()
    assert {name: value.shape for name, value in network.state_dict().items()} == before


def test_a_copy_runs_on_its_own_layers():
    mixed = MixedTimestepNetwork(small_network())
    clone = copy.deepcopy(mixed)
    with torch.no_grad():
        clone.network[3].weight.zero_()
    assert clone.stages[2][0] is clone.network[3]
    assert mixed(frames()).abs().sum() > 0
    assert clone(frames()).abs().sum() == 0


def test_layers_that_unflatten_time_take_any_batch():
    inner = nn.Sequential(UnflattenTime(batch_size=1), FlattenTime())
    network = nn.Sequential(block(2, 2), inner, block(2, 3))
    assert MixedTimestepNetwork(network)(frames(), (3, 2)).shape == (3, 2, 3, 8, 8)
    assert inner[0].batch_size == 1


def test_neurons_without_squeezing_are_refused():
    with pytest.raises(NetworkError, match=r"layer 1: IAF takes .* use IAFSqueeze"):
        MixedTimestepNetwork(nn.Sequential(nn.Linear(2, 2), IAF()))


@pytest.mark.parametrize(
    ("timesteps", "message"),
    [
        ((3, 4), "3/4 has 2 numbers, the network has 3 stages"),
        ((3, 0, 4), "time steps of a stage: 0 is below 1"),
        ((3, 2.5, 4), "2.5 is no integer"),
    ],
)
def test_configurations_that_do_not_fit_are_refused(timesteps, message):
    with pytest.raises(TrainingError, match=message):
        MixedTimestepNetwork(small_network())(frames(), timesteps)
