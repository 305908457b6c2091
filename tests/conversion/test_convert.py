"""The program has the integers that sinabs makes, and spikes as sinabs' chip network does."""

import nir
import numpy as np
import pytest
import sinabs.layers as sl
import sinabs.nir
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stepped import play_steps, random_frames
from torch import nn

from speckflex.conversion.convert import check_network, convert, convert_with_checks
from speckflex.conversion.options import ConversionOptions
from speckflex.errors import ConversionError, PlacementError
from speckflex.networks.paper import NETWORKS, build_network
from speckflex.program.program import Program
from speckflex.samna_access import load_samna

load_samna()
from sinabs.backend.dynapcnn import DynapcnnNetwork  # noqa: E402  needs samna's name to exist

# SPECK.md section 3: 1 x 1 convolutions, threshold 1, lower bound -1, as sinabs 3.1.3 makes them.
VECTORS = [
    ([0.5, -0.25, 0.1], None, [127, -64, 25], None, 254, -254),
    ([0.5, -0.6, 0.1], None, [107, -128, 21], None, 213, -213),
    ([-1.0, 0.5], None, [-128, 64], None, 128, -128),
    ([0.5, -0.25, 0.1], [2.0, 0.0, 0.0], [32, -16, 6], [127, 0, 0], 64, -64),
    ([0.0, 0.0, 0.0], None, [0, 0, 0], None, 32767, -32767),
    ([0.001, -0.0005, 0.0], None, [33, -16, 0], None, 32767, -32767),
]


@pytest.mark.parametrize(("floats", "biases", "integers", "leaks", "high", "low"), VECTORS)
def test_known_layers_get_the_integers_that_sinabs_gives(
    floats, biases, integers, leaks, high, low
):
    layer = nn.Conv2d(1, len(floats), 1, bias=biases is not None)
    layer.weight.data = torch.tensor(floats).reshape(-1, 1, 1, 1)
    if biases:
        layer.bias.data = torch.tensor(biases)
    network = nn.Sequential(layer, sl.IAFSqueeze(batch_size=1, min_v_mem=-1.0))
    [core] = convert(network, (1, 2, 2), options=ConversionOptions(allow_bias=True)).cores
    assert core.weights.ravel().tolist() == integers
    assert (core.threshold_high, core.threshold_low) == (high, low)
    assert (core.bias if leaks is None else core.bias.tolist()) == leaks
    assert round(1.0 * core.scale) == high


def test_the_scale_is_integers_per_unit_of_potential():
    network = chain_of(3, 1.0)
    for core, layer in zip(convert(network, (2, 12, 12)).cores, network[::3], strict=True):
        rebuilt = core.weights / core.scale
        assert abs(rebuilt - layer.weight.detach().numpy()).max() <= 0.5001 / core.scale
        assert core.threshold_high == round(core.scale)


@pytest.mark.filterwarnings("ignore:nirtorch.load:DeprecationWarning")
def test_the_recorded_network_gets_the_known_first_layer(shared_data):
    graph = nir.read(shared_data / "chip_first_layer" / "cnn_sinabs.nir")
    network = sinabs.nir.from_nir(graph, batch_size=1)
    program = convert(network, (2, 34, 34), chip="speck2f")
    first = program.cores[0]
    assert first.scale == pytest.approx(71.5369, abs=1e-4)
    assert (first.threshold_high, first.threshold_low) == (72, -72)
    assert [core.name for core in program.cores] == ["0", "2", "5", "9", "11"]
    assert [core.neuron_name for core in program.cores] == ["1", "3", "6", "10", "12"]
    assert first.weights.min() == -128


def chain_of(layers, spread, seed=0):
    """Return conv, neurons, pool, ... with random weights of the given spread."""
    torch.manual_seed(seed)
    modules = []
    channels = 2
    for index in range(layers):
        layer = nn.Conv2d(channels, 3 + index, 3, padding=1, bias=False)
        layer.weight.data *= spread
        modules += [layer, sl.IAFSqueeze(batch_size=1, min_v_mem=-1.0), sl.SumPool2d(2)]
        channels = 3 + index
    return nn.Sequential(*modules[:-1])


class Merging(nn.Module):
    """A residual block and a head, in float, with average pooling of one factor."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.second = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.head = nn.Conv2d(4, 3, 3, bias=False)
        self.spikes = nn.ModuleList([sl.IAFSqueeze(batch_size=1, min_v_mem=-1.0) for _ in range(3)])
        self.pools = nn.ModuleList([nn.AvgPool2d(2), nn.AvgPool2d(2)])
        self.merge = sl.Merge()

    def forward(self, x):
        a = self.spikes[0](self.first(x))
        b = self.spikes[1](self.second(a))
        return self.spikes[2](self.head(self.pools[0](self.merge(a, b))))


def assert_equals_sinabs(network, shape, frames):
    """Hold the program against sinabs' own chip network, made from the very same torch network."""
    program = convert(network, shape, chip="unbounded")
    with torch.random.fork_rng(devices=[]):
        chip_network = DynapcnnNetwork(network, shape, batch_size=1)
    for layer in chip_network.dynapcnn_layers.values():
        layer.spk.reset_states()
    with torch.no_grad():
        output = chip_network(torch.tensor(frames, dtype=torch.float32))
    last = play_steps(program, frames)[-1]
    np.testing.assert_array_equal(last, output.numpy().reshape(last.shape))
    return last.sum()


@settings(max_examples=15)
@given(
    st.integers(1, 3), st.sampled_from([0.5, 2.0, 6.0]), st.integers(0, 1000), st.integers(9, 14)
)
def test_random_chains_spike_as_sinabs_chip_network_does(layers, spread, seed, side):
    shape = (2, side, side + 1)
    assert_equals_sinabs(chain_of(layers, spread, seed), shape, random_frames(shape, seed=seed))


@settings(max_examples=15)
@given(st.integers(0, 1000), st.integers(0, 1000))
def test_single_events_through_a_chain_spike_as_in_sinabs(seed, events):
    random = np.random.default_rng(events)
    frames = np.zeros((30, 2, 8, 8), dtype=int)
    places = [random.integers(0, size, 30) for size in (2, 8, 8)]
    frames[(np.arange(30), *places)] = 1
    assert_equals_sinabs(chain_of(2, 8.0, seed), (2, 8, 8), frames)


def test_linear_layers_read_the_map_in_torch_order():
    torch.manual_seed(3)
    network = nn.Sequential(
        nn.Conv2d(1, 3, 3, bias=False),
        sl.IAFSqueeze(batch_size=1, min_v_mem=-1.0),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(48, 6, bias=False),
        sl.IAFSqueeze(batch_size=1, min_v_mem=-1.0, spike_threshold=0.2),
    )
    network[0].weight.data *= 6
    frames = random_frames((1, 10, 10), steps=20)
    assert assert_equals_sinabs(network, (1, 10, 10), frames) > 0


def test_the_order_of_layers_is_that_of_their_calls():
    torch.manual_seed(0)
    program = convert(Merging(), (2, 8, 8))
    assert [core.name for core in program.cores] == ["first", "second", "head"]
    sends = [[(to.core, to.pooling) for to in core.destinations] for core in program.cores]
    assert sends == [[(1, 1), (2, 2)], [(2, 2)], []]


def test_a_last_layer_without_neurons_is_read_out_by_its_potential():
    torch.manual_seed(0)
    spiking = chain_of(2, 1.0)
    bare = nn.Sequential(*spiking[:-1])
    program = convert(bare, (2, 8, 8))
    last = program.cores[-1]
    assert (last.readout, last.neuron_name) == ("potential", "")
    assert (last.threshold_high, last.threshold_low) == (32767 - 127, -32767)
    # the silent threshold must not cost the weights a bit
    assert np.abs(last.weights.astype(int)).max() in (127, 128)
    np.testing.assert_array_equal(last.weights, convert(spiking, (2, 8, 8)).cores[-1].weights)


@settings(max_examples=30)
@given(st.floats(1e-6, 1e6), st.integers(0, 1000))
def test_a_silent_threshold_never_limits_the_weights(spread, seed):
    torch.manual_seed(seed)
    layer = nn.Conv2d(1, 2, 2, bias=False)
    layer.weight.data *= spread
    [core] = convert(nn.Sequential(layer), (1, 3, 3)).cores
    low, high = int(core.weights.min()), int(core.weights.max())
    assert high == 127 or low == -128
    assert (core.threshold_high, core.threshold_low) == (32767 - 127, -32767)


def test_a_lower_bound_that_rounds_to_zero_becomes_minus_one():
    network = chain_of(1, 1.0)
    network[1] = sl.IAFSqueeze(batch_size=1, min_v_mem=-1e-6)
    conversion = convert_with_checks(network, (2, 8, 8))
    assert conversion.program.cores[0].threshold_low == -1
    assert ("1", "threshold_low") in [(check.layer, check.rule) for check in conversion.checks]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_papers_networks_convert(name, tmp_path):
    network = build_network(name, batch_norm=False)
    chip = "unbounded" if name == "vggsnn" else "speck2e"
    program = convert(network, NETWORKS[name].input_shape, chip=chip)
    weights = sum(core.weights.size for core in program.cores)
    expected = sum(value.numel() for name, value in network.named_parameters() if "weight" in name)
    assert weights == expected
    assert program.input.pooling == (NETWORKS[name].input_pooling,) * 2
    assert program.cores[-1].readout == NETWORKS[name].voting
    program.save(tmp_path / "network.speck")
    assert Program.load(tmp_path / "network.speck").sha256 == program.sha256


def test_a_network_too_large_for_the_chip_is_refused_and_listed():
    network = chain_of(1, 1.0)
    network[0] = nn.Conv2d(2, 64, 17, stride=3, padding=8, bias=False)
    with pytest.raises(ConversionError) as caught:
        convert(network, (2, 140, 140))
    for rule in ("kernel size 17 x 17", r"stride (3, 3)", "padding (8, 8)", "input map 140 x 140"):
        assert any(rule in problem for problem in caught.value.problems), rule
    table = check_network(network, (2, 140, 140))
    assert {"kernel size", "stride", "padding"} <= {check.rule for check in table.errors}
    assert convert(network, (2, 140, 140), chip="unbounded").chip == "unbounded"


def test_what_does_not_fit_raises_when_converted_and_is_listed_when_checked():
    network = chain_of(1, 1.0)
    network[0] = nn.Conv2d(2, 128, 3, padding=1, bias=False)
    with pytest.raises(PlacementError, match="131072 neuron words"):
        convert(network, (2, 32, 32))
    [error] = check_network(network, (2, 32, 32)).errors
    assert (error.rule, error.layer) == ("placement", "")


def test_cores_can_be_chosen():
    program = convert(chain_of(2, 1.0), (2, 8, 8), cores={"0": 8, 1: 2})
    assert [core.chip_core for core in program.cores] == [8, 2]


def test_an_unknown_chip_is_refused():
    with pytest.raises(ConversionError, match=r"chip 'speck3' is not known: choose one of speck2e"):
        convert(chain_of(1, 1.0), (2, 8, 8), chip="speck3")


def test_the_same_network_converts_to_the_same_hash():
    assert (
        convert(seeded_merging(), (2, 8, 8)).sha256 == convert(seeded_merging(), (2, 8, 8)).sha256
    )


def seeded_merging():
    torch.manual_seed(1)
    return Merging()


@pytest.mark.parametrize("layer", ["0", "1"])
def test_a_layer_on_the_meta_device_is_refused_in_one_line(layer):
    network = nn.Sequential(nn.Conv2d(2, 1, 1, bias=False), sl.IAFSqueeze(batch_size=1))
    network.get_submodule(layer).to("meta")
    with pytest.raises(
        ConversionError, match=rf"has {layer}\.\w+ on torch's meta device.*to_empty"
    ):
        convert(network, (2, 4, 4))


@pytest.mark.parametrize(
    ("lowest", "low", "told"),
    [(0.0, -1, "its lower bound becomes 0"), (None, -127, "min_v_mem"), (-1.0, -127, None)],
)
def test_a_bound_that_is_not_the_networks_own_is_told_in_python_too(lowest, low, told, caplog):
    layer = nn.Conv2d(1, 1, 1, bias=False)
    layer.weight.data.fill_(1.0)
    network = nn.Sequential(layer, sl.IAFSqueeze(batch_size=1, min_v_mem=lowest))
    [core] = convert(network, (1, 2, 2)).cores
    assert core.threshold_low == low
    assert ([told] if told else []) == [told for one in caplog.messages if str(told) in one]


def test_nothing_is_told_of_a_bound_that_stays(caplog):
    layer = nn.Conv2d(1, 1, 1, bias=False)
    layer.weight.data.fill_(1.0)
    convert(nn.Sequential(layer, sl.IAFSqueeze(batch_size=1, min_v_mem=-1.0)), (1, 2, 2))
    assert caplog.messages == []
