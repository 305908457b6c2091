"""The nodes of NIR graphs: each means what NIR says, in every form that a writer gives it."""

import math

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from nir_files import between_ends, conv, graph, linear, neurons, node, write
from sinabs.activation import MembraneReset, MembraneSubtract
from torch.nn import functional

from speckflex.cli import main
from speckflex.errors import FileFormatError, NetworkError
from speckflex.networks.files import load_network, stated_input_shape
from speckflex.networks.nir.options import NirOptions
from speckflex.program.program import Program

RNG = np.random.default_rng(0)
KERNELS = RNG.normal(size=(4, 2, 3, 3)).astype(np.float32)
SHAPE = (2, 8, 8)
X = torch.from_numpy(RNG.normal(size=(3, *SHAPE)).astype(np.float32))
W = torch.from_numpy(KERNELS)


def load(tmp_path, content, *, version="1.0.8", **options):
    path = write(tmp_path / "model.nir", content, version)
    return load_network(path, nir=NirOptions(**options))


def refusal(tmp_path, content, kind=NetworkError, **options) -> str:
    with pytest.raises(kind) as caught:
        load(tmp_path, content, **options)
    message = str(caught.value)
    assert message.isprintable()
    assert str(tmp_path) in message
    return message


def computes(network, expected: torch.Tensor) -> None:
    with torch.no_grad():
        torch.testing.assert_close(network(X), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("two", [2, np.array([2]), np.array([2, 2]), np.array([2.0, 2.0])])
@pytest.mark.parametrize(("kind", "factor"), [("AvgPool2d", 1), ("SumPool2d", 4)])
def test_pool_sizes_are_one_number_or_two(two, kind, factor, tmp_path):
    pool = node(kind, kernel_size=two, stride=two, padding=0)
    network = load(tmp_path, between_ends(SHAPE, conv=conv(KERNELS), pool=pool))
    computes(network, factor * functional.avg_pool2d(functional.conv2d(X, W), 2))


CONVOLUTIONS = {
    "padding in two": {"padding": np.array([1, 0]), "stride": np.array([1, 2])},
    "same": {"padding": "same"},
    "valid": {"padding": "valid"},
    "dilation": {"dilation": np.array([2, 1]), "padding": 1},
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_takes_its_sizes_in_every_form(name, tmp_path):
    settings = CONVOLUTIONS[name]
    network = load(tmp_path, between_ends(SHAPE, conv=conv(KERNELS, **settings)))
    given = {
        key: tuple(value.tolist()) if isinstance(value, np.ndarray) else value
        for key, value in settings.items()
    }
    computes(network, functional.conv2d(X, W, **given))


@pytest.mark.parametrize("groups", [1, 2])
def test_grouped_and_depthwise_convolutions_load(groups, tmp_path):
    own = KERNELS[:, : 2 // groups]
    network = load(tmp_path, between_ends(SHAPE, conv=conv(own, groups=groups)))
    computes(network, functional.conv2d(X, torch.from_numpy(own.copy()), groups=groups))


def test_a_convolution_without_a_bias_field_has_none(tmp_path):
    fields = conv(KERNELS)
    del fields["bias"]
    assert load(tmp_path, between_ends(SHAPE, conv=fields))[0].bias is None


def test_a_graph_inside_the_graph_stands_for_its_nodes(tmp_path):
    deepest = between_ends(None, conv=conv(KERNELS))
    inner = between_ends(None, deep=deepest, spikes=neurons(4, 6, 6))
    network = load(tmp_path, between_ends(SHAPE, block=inner))
    names = [name for name, _ in network.named_children()]
    assert names == ["block_deep_conv", "block_spikes"]


def test_nodes_stand_in_any_order_and_edges_count_once(tmp_path):
    nodes = {
        "z": node("Input", shape=np.array(SHAPE)),
        "b": conv(KERNELS),
        "a": neurons(4, 6, 6),
        "c": node("Output", shape=np.array([4, 6, 6])),
    }
    edges = [("a", "c"), ("b", "a"), ("z", "b"), ("b", "a")]
    network = load(tmp_path, graph(nodes, edges))
    assert [name for name, _ in network.named_children()] == ["b", "a"]


def test_a_graph_without_input_and_output_nodes_loads(tmp_path):
    assert len(load(tmp_path, graph({"conv": conv(KERNELS), "spikes": neurons(4, 6, 6)}))) == 2


def test_a_field_that_is_not_known_is_refused_by_name(tmp_path):
    spikes = neurons(4, 6, 6, refractory=np.ones(1))
    message = refusal(tmp_path, between_ends(SHAPE, conv=conv(KERNELS), spikes=spikes))
    assert "(NIR 1.0.8): node spikes (IF) has a field refractory" in message


def test_metadata_and_shapes_are_read_past(tmp_path):
    described = {"metadata": {"author": "someone", "notes": np.ones((2, 2))}}
    spikes = neurons(4, 6, 6, **described, input_type=np.array([4, 6, 6]))
    content = between_ends(SHAPE, conv=conv(KERNELS, **described), spikes=spikes)
    assert len(load(tmp_path, content | described)) == 2


@pytest.mark.parametrize(
    ("version", "field", "reset"),
    [
        ("1.0.4", None, MembraneSubtract),
        ("1.0.5", None, MembraneSubtract),
        (None, None, MembraneSubtract),
        ("1.0.6", None, MembraneReset),
        ("1.0.8", None, MembraneReset),
        ("1.0.4", 0.0, MembraneReset),
        ("1.0.8", 0.0, MembraneReset),
        ("1.1.0", 0.0, MembraneReset),
    ],
)
def test_a_reset_is_what_the_version_of_the_file_means(version, field, reset, tmp_path):
    fields = {} if field is None else {"v_reset": np.full((4, 6, 6), field)}
    content = between_ends(SHAPE, conv=conv(KERNELS), spikes=neurons(4, 6, 6, **fields))
    assert isinstance(load(tmp_path, content, version=version)[1].reset_fn, reset)


def test_a_reset_to_another_potential_is_refused(tmp_path):
    spikes = neurons(4, 6, 6, v_reset=np.full((4, 6, 6), 0.5))
    message = refusal(tmp_path, between_ends(SHAPE, conv=conv(KERNELS), spikes=spikes))
    assert "node spikes (IF) resets to a potential of 0.5" in message


def spiking(**fields):
    return between_ends(SHAPE, conv=conv(KERNELS), spikes=neurons(4, 6, 6, **fields))


@pytest.mark.parametrize(
    ("r", "dt", "threshold"), [(1e4, 1e-4, 1.0), (2.0, 1.0, 0.5), (500.0, 1e-3, 2.0)]
)
def test_a_time_step_counts_r_times_dt(r, dt, threshold, tmp_path):
    network = load(tmp_path, spiking(r=np.full((4, 6, 6), r)), dt=dt)
    assert np.unique(network[1].spike_threshold.detach()) == pytest.approx(threshold)
    np.testing.assert_array_equal(network[0].weight.detach(), KERNELS)


@pytest.mark.parametrize(
    ("r", "dt", "words"),
    [
        (np.full((4, 6, 6), 1e4), None, "--dt 0.0001"),
        (np.ones((4, 6, 6)), 1e-3, "leave --dt out"),
        (np.linspace(1, 2, 144).reshape(4, 6, 6), None, "has r from 1 to 2"),
        (np.zeros((4, 6, 6)), None, "r must be above 0"),
        (np.full((4, 6, 6), np.nan), None, "no numbers"),
    ],
)
def test_an_r_that_is_no_time_step_is_refused(r, dt, words, tmp_path):
    assert words in refusal(tmp_path, spiking(r=r), dt=dt)


@pytest.mark.parametrize(
    ("tau", "r", "dt"),
    [(math.inf, math.inf, None), (math.inf, 1.0, None), (1e8, 1e8, None), (1e3, 1e7, 1e-4)],
)
def test_neurons_that_do_not_leak_are_integrate_and_fire(tau, r, dt, tmp_path):
    shape = (4, 6, 6)
    fields = {"tau": np.full(shape, tau), "v_leak": np.zeros(shape), "r": np.full(shape, r)}
    network = load(tmp_path, spiking(kind="LIF", **fields), dt=dt)
    assert np.unique(network[1].spike_threshold.detach()) == 1


@pytest.mark.parametrize(("tau", "r"), [(1.0, 1.0), (1e-3, 10.0), (20.0, 1e4)])
def test_neurons_that_leak_are_refused_in_one_sentence(tau, r, tmp_path):
    shape = (4, 6, 6)
    fields = {"tau": np.full(shape, tau), "v_leak": np.zeros(shape), "r": np.full(shape, r)}
    message = refusal(tmp_path, spiking(kind="LIF", **fields))
    assert "node spikes (LIF) leaks with a time constant" in message


@pytest.mark.parametrize("values", [np.ones(()), np.ones(1), np.ones((1, 1)), np.ones(144)])
def test_one_threshold_or_one_a_neuron_loads_in_any_shape(values, tmp_path):
    network = load(tmp_path, spiking(r=values, v_threshold=values))
    with torch.no_grad():
        assert network(X).shape == (3, 4, 6, 6)


WHOLE = [(0, -1), (1, -1), (0, 2), (-3, -1), (1, 3)]
PART = [(1, 2), (0, 1), (-2, -1), (2, -1)]


@pytest.mark.parametrize(("start", "end"), [*WHOLE, *PART])
def test_a_flattening_of_the_whole_map_loads(start, end, tmp_path):
    flatten = node("Flatten", start_dim=start, end_dim=end, input_type=np.array(SHAPE))
    content = between_ends(SHAPE, flat=flatten, out=linear(RNG.normal(size=(5, 128))))
    if (start, end) in WHOLE:
        assert load(tmp_path, content)(X).shape == (3, 5)
    else:
        assert "flatten all of them" in refusal(tmp_path, content)


CHANNEL = np.array([2.0, -0.5]).reshape(2, 1, 1) * np.ones(SHAPE)
EACH = RNG.normal(size=SHAPE)
FLAT = node("Flatten", start_dim=0, end_dim=-1)
POOL = node("SumPool2d", kernel_size=2, stride=2, padding=0)
DENSE = RNG.normal(size=(5, 128)).astype(np.float32)
NARROW = RNG.normal(size=(5, 32)).astype(np.float32)


def scaled(values: np.ndarray) -> torch.Tensor:
    return X * torch.from_numpy(values.astype(np.float32))


SCALES = {
    "in front of a convolution": (
        {"scale": node("Scale", scale=CHANNEL), "conv": conv(KERNELS)},
        lambda: functional.conv2d(scaled(CHANNEL), W),
    ),
    "in front of groups": (
        {"scale": node("Scale", scale=CHANNEL), "conv": conv(KERNELS[:, :1], groups=2)},
        lambda: functional.conv2d(scaled(CHANNEL), W[:, :1], groups=2),
    ),
    "behind a convolution": (
        {"conv": conv(KERNELS, bias=np.ones(4)), "scale": node("Scale", scale=np.full(1, 3.0))},
        lambda: 3 * functional.conv2d(X, W, torch.ones(4)),
    ),
    "in front of a flattening": (
        {"scale": node("Scale", scale=EACH), "flat": FLAT, "out": linear(DENSE)},
        lambda: scaled(EACH).flatten(1) @ torch.from_numpy(DENSE).T,
    ),
    "in front of a pooling": (
        {
            "scale": node("Scale", scale=CHANNEL),
            "pool": POOL,
            "flat": FLAT,
            "out": linear(NARROW),
        },
        lambda: (
            4 * functional.avg_pool2d(scaled(CHANNEL), 2).flatten(1) @ torch.from_numpy(NARROW).T
        ),
    ),
}


@pytest.mark.parametrize("place", SCALES)
def test_a_scale_goes_into_the_weights_beside_it(place, tmp_path):
    nodes, expected = SCALES[place]
    computes(load(tmp_path, between_ends(SHAPE, **nodes)), expected())


@pytest.mark.parametrize(
    "nodes",
    [
        {"conv": conv(KERNELS), "spikes": neurons(4, 6, 6), "scale": node("Scale", scale=2.0)},
        {"scale": node("Scale", scale=EACH), "conv": conv(KERNELS)},
    ],
)
def test_a_scale_that_no_weights_can_hold_is_refused_by_name(nodes, tmp_path):
    assert "node scale (Scale)" in refusal(tmp_path, between_ends(SHAPE, **nodes))


def test_a_maximum_is_refused_with_what_replaces_it(tmp_path):
    pool = node("MaxPool2d", kernel_size=2, stride=2, padding=0)
    message = refusal(tmp_path, between_ends(SHAPE, conv=conv(KERNELS), pool=pool))
    assert "node pool (MaxPool2d) takes a maximum" in message
    assert "train with SumPool2d or AvgPool2d" in message


def test_several_inputs_are_refused_by_their_names(tmp_path):
    nodes = {"left": node("Input"), "right": node("Input"), "conv": conv(KERNELS)}
    edges = [("left", "conv"), ("right", "conv")]
    assert "2 Input nodes (left, right)" in refusal(tmp_path, graph(nodes, edges))


def test_nodes_may_have_any_names(tmp_path):
    nodes = {
        "forward": conv(KERNELS),
        "a.b": neurons(4, 6, 6),
        "a/b": conv(KERNELS[:, [0, 1, 0, 1]]),
    }
    nodes["new\nline"] = neurons(4, 4, 4)
    network = load(tmp_path, between_ends(SHAPE, **nodes))
    names = [name for name, _ in network.named_children()]
    assert names == ["forward_", "a_b", "a_b_", "new_line"]


def test_a_message_shows_a_name_in_one_line(tmp_path):
    content = between_ends(SHAPE, conv=conv(KERNELS), **{"new\nline": node("Odd")})
    assert "node 'new\\nline' (Odd) is of a type" in refusal(tmp_path, content)


@pytest.mark.parametrize(
    ("stated", "found"),
    [
        (SHAPE, SHAPE),
        ((1, *SHAPE), SHAPE),
        ((20, 1, *SHAPE), SHAPE),
        ((128,), None),
        (None, None),
    ],
)
def test_the_input_shape_is_that_of_the_input_node(stated, found, tmp_path):
    layers = {"conv": conv(KERNELS)} if stated != (128,) else {"out": linear(DENSE)}
    path = write(tmp_path / "model.nir", between_ends(stated, **layers))
    assert stated_input_shape(path) == found
    load_network(path)


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ({"conv": conv(KERNELS[:, :1])}, "node conv (Conv2d) reads maps of 1 channels"),
        ({"flat": FLAT, "out": linear(NARROW)}, "node out (Linear) reads a row of 32 values"),
        ({"out": linear(DENSE)}, "put a Flatten in front of it"),
        ({"conv": conv(KERNELS, padding="round")}, "has the padding 'round'"),
        ({"conv": conv(KERNELS, stride=0)}, "has stride 0: give whole numbers from 1"),
        ({"conv": conv(KERNELS, stride=1.5)}, "has stride 1.5"),
        ({"conv": conv(KERNELS, groups=3)}, "its 3 groups can't share equally"),
        ({"conv": conv(KERNELS, bias=np.ones(3))}, "has a bias of shape (3,) for 4 outputs"),
        ({"conv": conv(np.ones((4, 2, 9, 9)))}, "is larger than the map that arrives"),
        ({"d": node("Delay", delay=np.ones(SHAPE))}, "node d (Delay) delays spikes"),
    ],
)
def test_a_node_that_does_not_fit_is_refused_by_name(nodes, words, tmp_path):
    assert words in refusal(tmp_path, between_ends(SHAPE, **nodes))


@pytest.mark.parametrize("field", ["weight", "stride", "padding", "groups"])
def test_a_field_that_is_missing_is_named(field, tmp_path):
    fields = conv(KERNELS)
    del fields[field]
    message = refusal(tmp_path, between_ends(SHAPE, conv=fields), FileFormatError)
    assert f"node conv (Conv2d) has no field {field}" in message


@pytest.mark.parametrize(
    ("options", "bound"),
    [({}, -1.0), ({"lower_bound": -3.0}, -3.0), ({"lower_bound": -math.inf}, None)],
)
def test_the_lower_bound_is_the_one_that_is_given(options, bound, tmp_path):
    found = load(tmp_path, spiking(), **options)[1].min_v_mem
    assert found is None if bound is None else float(found.max()) == bound


def test_the_lower_bound_in_the_metadata_counts(tmp_path):
    network = load(tmp_path, spiking(metadata={"lower_bound": -7.0}))
    assert float(network[1].min_v_mem) == -7


def test_commands_take_the_shape_and_the_time_step_of_a_graph(tmp_path):
    spikes = neurons(4, 6, 6, r=np.full((4, 6, 6), 1000.0))
    path = write(tmp_path / "model.nir", between_ends(SHAPE, conv=conv(KERNELS), spikes=spikes))
    run = CliRunner().invoke
    assert "--dt 0.001" in run(main, ["check", str(path)]).output
    assert run(main, ["check", str(path), "--dt", "0.001"]).exit_code == 0
    other = run(main, ["check", str(path), "--dt", "0.001", "--input-shape", "2,9,9"])
    assert "states events of shape (2, 8, 8)" in other.output
    out = tmp_path / "model.speck"
    done = run(main, ["convert", str(path), "--dt", "0.001", "--out", str(out)])
    assert done.exit_code == 0, done.output
    program = Program.load(out)
    assert program.input.shape == SHAPE
    # the converter scales the largest weight to 127, and a threshold of 1 with it
    largest = np.abs(KERNELS).max()
    assert program.cores[0].threshold_high == pytest.approx(127 / largest, abs=1)
    assert "have no meaning" in run(main, ["check", str(out), "--dt", "1"]).output


@pytest.mark.parametrize("options", [{"dt": 0.0}, {"dt": math.inf}, {"lower_bound": 1.0}])
def test_options_that_mean_nothing_are_refused(options):
    with pytest.raises(NetworkError, match="give a number"):
        NirOptions(**options)
