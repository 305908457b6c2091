"""NIR graphs: which become networks, which are refused, and how."""

import logging
import warnings
from itertools import pairwise

import h5py
import nir
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sinabs import layers as sl
from torch import nn
from torch.nn import functional

from speckflex.errors import FileFormatError, NetworkError, SpeckflexError
from speckflex.networks.files import load_network, save_network
from speckflex.networks.nir import _hdf5 as hdf5


def _input(*shape: int) -> nir.Input:
    return nir.Input({"input": np.array(shape)})


def _output(*shape: int) -> nir.Output:
    return nir.Output({"output": np.array(shape)})


def _affine(out: int, inputs: int, bias: float = 0.0) -> nir.Affine:
    weight = np.random.default_rng(0).normal(size=(out, inputs)).astype(np.float32)
    return nir.Affine(weight, np.full(out, bias, np.float32))


def _if(*shape: int, threshold: float = 1.0, r: float = 1.0) -> nir.IF:
    return nir.IF(np.full(shape, r, np.float32), np.full(shape, threshold, np.float32))


def _chain(path, middle: dict[str, nir.NIRNode], edges=None):
    """Write a graph of 4 inputs and 3 outputs, with these nodes in a row unless edges are given."""
    nodes = {"input": _input(4), **middle, "output": _output(3)}
    names = list(nodes)
    nir.write(path, nir.NIRGraph(nodes, edges or list(pairwise(names))))
    return path


def _refusal(path, kind: type[SpeckflexError] = NetworkError) -> str:
    with pytest.raises(kind) as caught:
        load_network(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_the_network_of_the_real_chip_loads_in_order_under_its_names(shared_data):
    network = load_network(shared_data / "chip_first_layer" / "cnn_sinabs.nir")
    kinds = [type(layer).__name__ for layer in network.children()]
    assert [name for name, _ in network.named_children()] == [str(i) for i in range(13)]
    convolutions = ["Conv2d", "IAFSqueeze", "Conv2d", "IAFSqueeze", "SumPool2d"]
    convolutions += ["Conv2d", "IAFSqueeze", "SumPool2d", "Flatten"]
    assert kinds == [*convolutions, *["Linear", "IAFSqueeze"] * 2]
    assert network[1].spike_threshold.shape == (16, 16, 16)
    assert float(network[1].min_v_mem.max()) == -1
    assert not network[0].bias.any()
    assert network(torch.ones(4, 2, 34, 34)).shape == (4, 10)


def test_the_network_of_the_real_chip_survives_saving(shared_data, tmp_path):
    network = load_network(shared_data / "chip_first_layer" / "cnn_sinabs.nir")
    save_network(network, tmp_path / "model.pt")
    events = torch.poisson(torch.full((6, 2, 34, 34), 0.3))
    loaded = load_network(tmp_path / "model.pt")
    torch.testing.assert_close(loaded(events), network(events), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "node"),
    [
        ("nir_lif_rockpool", "1_LIFNeuronTorch"),
        ("nirtorch_lif_norse", "1"),
        ("snntorch_lif", "1"),
    ],
)
def test_graphs_of_leaking_neurons_are_refused_by_node_type_and_reason(name, node, shared_data):
    message = _refusal(shared_data / "models" / f"{name}.nir")
    assert f"node {node} (LIF) leaks" in message
    assert "train the network with IF neurons" in message


VALUES = {key: np.ones(3, np.float32) for key in ("tau", "r", "v_leak", "v_threshold")}
UNSUITABLE = {
    "LIF": (lambda: nir.LIF(**VALUES), "leaks"),
    "LI": (lambda: nir.LI(VALUES["tau"], VALUES["r"], VALUES["v_leak"]), "leaks"),
    "CubaLIF": (
        lambda: nir.CubaLIF(
            tau_syn=VALUES["tau"],
            tau_mem=VALUES["tau"],
            **{k: VALUES[k] for k in VALUES if k != "tau"},
        ),
        "leaks",
    ),
    "I": (lambda: nir.I(VALUES["r"]), "never fires"),
    "Threshold": (lambda: nir.Threshold(VALUES["r"]), "fires without a state"),
    "Delay": (lambda: nir.Delay(VALUES["r"]), "delays"),
    "IF": (lambda: _if(3, r=2.0), "has r = 2, which is 1 / dt"),
}


@pytest.mark.parametrize("kind", UNSUITABLE)
def test_a_node_that_speck_lacks_is_refused_by_name_type_and_reason(kind, tmp_path):
    make, reason = UNSUITABLE[kind]
    path = _chain(tmp_path / "model.nir", {"weights": _affine(3, 4), "odd": make()})
    message = _refusal(path)
    assert f"node odd ({kind})" in message
    assert reason in message


def test_a_threshold_of_zero_is_refused(tmp_path):
    middle = {"weights": _affine(3, 4), "spike": _if(3, threshold=0.0)}
    assert "must be above 0" in _refusal(_chain(tmp_path / "model.nir", middle))


def test_a_recurrent_edge_is_refused_by_the_nodes_of_its_cycle(tmp_path):
    middle = {"weights": _affine(3, 4), "spike": _if(3), "back": _affine(3, 3)}
    edges = [("input", "weights"), ("weights", "spike"), ("spike", "output")]
    edges += [("spike", "back"), ("back", "spike")]
    message = _refusal(_chain(tmp_path / "model.nir", middle, edges))
    assert "form a cycle" in message
    assert "spike" in message
    assert "back" in message


def test_a_branch_is_refused_by_the_node_where_it_begins(tmp_path):
    middle = {"weights": _affine(3, 4), "one": _if(3), "two": _if(3)}
    edges = [("input", "weights"), ("weights", "one"), ("weights", "two")]
    edges += [("one", "output"), ("two", "output")]
    assert "weights (Affine) has 1 edges in and 2 out" in _refusal(
        _chain(tmp_path / "model.nir", middle, edges)
    )


def test_a_node_without_edges_is_refused(tmp_path):
    middle = {"weights": _affine(3, 4), "lost": _if(3)}
    edges = [("input", "weights"), ("weights", "output")]
    assert "node lost (IF) has 0 edges" in _refusal(_chain(tmp_path / "model.nir", middle, edges))


@settings(max_examples=15)
@given(
    channels=st.integers(1, 3),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 2),
    average=st.booleans(),
    bias=st.sampled_from([0.0, 0.25]),
)
def test_a_graph_computes_what_its_nodes_say(
    channels, kernel, stride, average, bias, tmp_path_factory
):
    path = tmp_path_factory.mktemp("graph") / "model.nir"
    weight = np.random.default_rng(1).normal(size=(channels, 2, kernel, kernel)).astype("f4")
    pair = np.array([2, 2])
    pool = (nir.AvgPool2d if average else nir.SumPool2d)(pair, pair, np.array([0, 0]))
    conv = nir.Conv2d(
        (8, 8), weight, stride, 0, dilation=1, groups=1, bias=np.full(channels, bias, "f4")
    )
    nodes = {"input": _input(2, 8, 8), "a.b": conv, "pool": pool, "output": _output(channels, 1, 1)}
    names = list(nodes)
    edges = list(pairwise(names))
    nir.write(path, nir.NIRGraph(nodes, edges))
    network = load_network(path)
    x = torch.rand(3, 2, 8, 8)
    expected = functional.conv2d(x, torch.tensor(weight), torch.full((channels,), bias), stride)
    expected = functional.avg_pool2d(expected, 2) * (1 if average else 4)
    torch.testing.assert_close(network(x), expected, rtol=1e-5, atol=1e-5)
    assert [name for name, _ in network.named_children()] == ["a_b", "pool"]
    sizes = (*network[0].stride, *network[1].kernel_size)
    assert {type(size) for size in sizes} == {int}


def test_a_linear_node_becomes_a_layer_with_its_weights(tmp_path):
    weight = np.arange(12, dtype=np.float32).reshape(3, 4)
    path = _chain(tmp_path / "model.nir", {"weights": nir.Linear(weight), "spike": _if(3)})
    network = load_network(path)
    assert isinstance(network.get_submodule("weights"), nn.Linear)
    assert isinstance(network.get_submodule("spike"), sl.IAFSqueeze)
    np.testing.assert_array_equal(network.get_parameter("weights.weight").detach(), weight)
    assert not network.get_parameter("weights.bias").any()


def test_loading_says_nothing_and_leaves_logging_as_it_was(tmp_path, capfd, caplog):
    path = _chain(tmp_path / "model.nir", {"weights": _affine(3, 4), "spike": _if(3)})
    level = logging.getLogger().level
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_network(path)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    assert logging.getLogger().level == level


@pytest.mark.parametrize("tenth", range(10))
def test_a_graph_cut_at_every_tenth_is_refused_in_one_line(tenth, tmp_path):
    whole = _chain(tmp_path / "whole.nir", {"weights": _affine(3, 4), "spike": _if(3)})
    content = whole.read_bytes()
    (tmp_path / "cut.nir").write_bytes(content[: len(content) * tenth // 10])
    _refusal(tmp_path / "cut.nir", FileFormatError)


@pytest.mark.parametrize("key", ["node", "node/edges", "node/nodes/weights/type", "node/nodes"])
def test_a_graph_without_one_of_its_parts_is_refused(key, tmp_path):
    path = _chain(tmp_path / "model.nir", {"weights": _affine(3, 4), "spike": _if(3)})
    with h5py.File(path, "a") as file:
        del file[key]
    _refusal(path, SpeckflexError)


def test_weights_that_do_not_match_their_bias_are_refused(tmp_path):
    path = _chain(tmp_path / "model.nir", {"weights": _affine(3, 4), "spike": _if(3)})
    with h5py.File(path, "a") as file:
        del file["node/nodes/weights/weight"]
        file["node/nodes/weights/weight"] = np.zeros(3, np.float32)
    _refusal(path, SpeckflexError)


def test_an_edge_to_a_node_that_is_not_there_is_refused(tmp_path):
    path = _chain(tmp_path / "model.nir", {"weights": _affine(3, 4), "spike": _if(3)})
    with h5py.File(path, "a") as file:
        edges = file["node/edges"][()]
        edges[edges == b"spike"] = b"spook"
        file["node/edges"][...] = edges
    _refusal(path, SpeckflexError)


def test_a_single_node_is_refused(tmp_path):
    nir.write(tmp_path / "node.nir", _affine(3, 4))
    assert "a single Affine" in _refusal(tmp_path / "node.nir", FileFormatError)


def test_a_link_to_another_file_is_not_followed(tmp_path):
    path = _chain(tmp_path / "model.nir", {"weights": _affine(3, 4), "spike": _if(3)})
    with h5py.File(path, "a") as file:
        del file["node/nodes/weights/weight"]
        file["node/nodes/weights/weight"] = h5py.ExternalLink("/etc/passwd", "x")
    assert "is a link to elsewhere" in _refusal(path, FileFormatError)


def test_arrays_that_claim_more_than_the_limit_are_refused_before_they_are_read(tmp_path):
    path = _chain(tmp_path / "model.nir", {"weights": _affine(3, 4), "spike": _if(3)})
    with h5py.File(path, "a") as file:
        del file["node/nodes/weights/weight"]
        file.create_dataset("node/nodes/weights/weight", (2**20, 2**20), "f4", chunks=(64, 64))
    assert path.stat().st_size < 2**20
    assert f"more than {hdf5.MAX_UNPACKED_BYTES}" in _refusal(path, FileFormatError)


def test_an_array_that_claims_more_than_the_file_stores_is_refused(tmp_path):
    path = _chain(tmp_path / "model.nir", {"weights": _affine(3, 4), "spike": _if(3)})
    with h5py.File(path, "a") as file:
        del file["node/nodes/weights/weight"]
        file.create_dataset("node/nodes/weights/weight", (2048, 2048), "f4", chunks=(64, 64))
    message = _refusal(path, FileFormatError)
    assert "node/nodes/weights/weight claims 16777216 bytes, but the file stores 0" in message


def test_data_in_another_file_are_not_read(tmp_path):
    (tmp_path / "other.bin").write_bytes(bytes(48))
    path = _chain(tmp_path / "model.nir", {"weights": _affine(3, 4), "spike": _if(3)})
    with h5py.File(path, "a") as file:
        del file["node/nodes/weights/weight"]
        outside = [(str(tmp_path / "other.bin"), 0, 48)]
        file.create_dataset("node/nodes/weights/weight", (3, 4), "f4", external=outside)
    assert "takes its data from another file" in _refusal(path, FileFormatError)


@pytest.mark.parametrize("seed", range(40))
def test_a_file_with_wrong_bytes_is_refused_in_one_line_or_loads(seed, tmp_path):
    path = _chain(tmp_path / "model.nir", {"weights": _affine(3, 4), "spike": _if(3)})
    rng = np.random.default_rng(seed)
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    places = rng.choice(np.flatnonzero(content), rng.integers(1, 20))
    content[places] = rng.integers(0, 256, len(places))
    path.write_bytes(content.tobytes())
    try:
        load_network(path)
    except SpeckflexError as error:
        assert str(error).isprintable()  # noqa: PT017  most of them are refused, not all


def test_a_torch_file_with_the_suffix_of_a_graph_is_read_as_what_it_is(tmp_path):
    save_network(nn.Sequential(nn.Linear(2, 2)), tmp_path / "model.pt")
    (tmp_path / "model.pt").rename(tmp_path / "model.nir")
    assert isinstance(load_network(tmp_path / "model.nir")[0], nn.Linear)


def test_a_text_with_the_suffix_of_a_graph_is_called_damaged(tmp_path):
    (tmp_path / "model.nir").write_text("a graph")
    assert "HDF5 can't read it" in _refusal(tmp_path / "model.nir", FileFormatError)


def test_a_graph_is_recognised_without_its_suffix(tmp_path):
    path = _chain(tmp_path / "model.nir", {"weights": _affine(3, 4), "spike": _if(3)})
    assert len(load_network(path.rename(tmp_path / "model"))) == 2


def test_a_factory_for_a_graph_is_refused(tmp_path):
    path = _chain(tmp_path / "model.nir", {"weights": _affine(3, 4), "spike": _if(3)})
    with pytest.raises(NetworkError, match="leave it out"):
        load_network(path, factory="nmnist-3c1fc")


def test_a_heap_of_texts_in_which_hdf5_would_search_forever_is_refused(tmp_path):
    path = _chain(tmp_path / "model.nir", {"weights": _affine(3, 4), "spike": _if(3)})
    content = bytearray(path.read_bytes())
    # the first object of the first heap is given the index and the length of free space of 0 bytes
    first = content.index(b"GCOL") + 16
    content[first : first + 16] = bytes(16)
    path.write_bytes(content)
    assert "is damaged, its heap of texts" in _refusal(path, FileFormatError)
