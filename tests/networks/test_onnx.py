"""ONNX graphs: the values are those of onnx' own evaluator, or of the tool that wrote the file."""

import gzip
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import nn

from speckflex.conversion.model import read_model
from speckflex.errors import (
    ConversionError,
    FileFormatError,
    MissingExtraError,
    NetworkError,
    SpeckflexError,
)
from speckflex.networks import _onnx_graph
from speckflex.networks._onnx import load_onnx, onnx_input_shape
from speckflex.networks.files import load_network, stated_input_shape

FILES = Path(__file__).resolve().parents[1] / "files" / "models"
INPUT = np.random.default_rng(0).integers(0, 3, (1, 2, 8, 8)).astype(np.float32)


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def save(
    path: Path,
    nodes: list[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    *,
    sizes: tuple[int | str, ...] = (1, 2, 8, 8),
    output: tuple[int | str | None, ...] | None = None,
    opset: int = 17,
) -> Path:
    """Write a graph from `x` to what its last node gives."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, sizes)],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, output)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def row(*parts: tuple[str, dict[str, np.ndarray], dict[str, object]]) -> tuple[list, dict]:
    """Return nodes in a row and their constants, of kind, constants in order and attributes."""
    nodes, constants, current = [], {}, "x"
    for index, (kind, given, attributes) in enumerate(parts):
        names = [f"{name}{index}" for name in given]
        constants |= dict(zip(names, given.values(), strict=True))
        nodes.append(helper.make_node(kind, [current, *names], [f"y{index}"], **attributes))
        current = f"y{index}"
    return nodes, constants


CONV = ("Conv", {"w": drawn(4, 2, 3, 3), "b": drawn(4)}, {"pads": [1, 1, 1, 1]})
CHANNELS = drawn(1, 4, 1, 1, seed=3) + 2
FIRST = ("Transpose", {}, {"perm": [0, 3, 1, 2]})
LAST = ("Transpose", {}, {"perm": [0, 2, 3, 1]})
CHAINS = {
    "strides, groups and dilation": [
        ("Conv", {"w": drawn(4, 1, 3, 2)}, {"strides": [2, 1], "group": 2, "dilations": [1, 2]})
    ],
    "pads that differ": [
        ("Conv", {"w": drawn(4, 2, 3, 3)}, {"pads": [0, 1, 2, 0], "strides": [2, 2]})
    ],
    "pads of TensorFlow": [
        ("Conv", {"w": drawn(4, 2, 3, 4)}, {"auto_pad": "SAME_UPPER", "strides": [2, 3]})
    ],
    "pads of TensorFlow at the other side": [
        ("Conv", {"w": drawn(4, 2, 4, 2)}, {"auto_pad": "SAME_LOWER", "strides": [2, 1]})
    ],
    "a padding node": [
        CONV,
        ("Relu", {}, {}),
        ("Pad", {"p": np.array([0, 0, 1, 0, 0, 0, 0, 2])}, {}),
        ("Conv", {"w": drawn(3, 4, 3, 3)}, {}),
    ],
    "batch norm": [
        CONV,
        (
            "BatchNormalization",
            {
                "g": drawn(4) + 2,
                "b": drawn(4, seed=1),
                "m": drawn(4, seed=2),
                "v": drawn(4) ** 2 + 1,
            },
            {"epsilon": 0.01},
        ),
        ("Relu", {}, {}),
    ],
    "arithmetic by channel": [
        CONV,
        ("Mul", {"a": CHANNELS}, {}),
        ("Sub", {"a": CHANNELS * 3}, {}),
        ("Div", {"a": CHANNELS}, {}),
        ("Add", {"a": np.float32([0.25])}, {}),
    ],
    "average pools": [
        CONV,
        ("Relu", {}, {}),
        ("AveragePool", {}, {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("AveragePool", {}, {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [1, 1]}),
        ("GlobalAveragePool", {}, {}),
    ],
    "a mean over y and x": [CONV, ("ReduceMean", {}, {"axes": [2, 3], "keepdims": 0})],
    "max pools": [CONV, ("MaxPool", {}, {"kernel_shape": [2, 2], "strides": [2, 2]})],
    "linear layers": [
        CONV,
        ("Flatten", {}, {"axis": 1}),
        ("Gemm", {"w": drawn(6, 256), "b": drawn(6)}, {"transB": 1, "alpha": 0.5, "beta": 2.0}),
        ("Relu", {}, {}),
        ("Gemm", {"w": drawn(6, 5), "b": drawn(1, 5)}, {}),
        ("MatMul", {"w": drawn(5, 3)}, {}),
        ("Add", {"b": drawn(3)}, {}),
    ],
    "a reshape": [
        CONV,
        ("Reshape", {"s": np.array([1, -1])}, {}),
        ("MatMul", {"w": drawn(256, 3)}, {}),
    ],
    "what means nothing": [
        ("Identity", {}, {}),
        CONV,
        ("Cast", {}, {"to": TensorProto.FLOAT}),
        ("Dropout", {}, {}),
    ],
    "TensorFlow's order of axes": [
        FIRST,
        CONV,
        LAST,
        ("Mul", {"a": CHANNELS.reshape(1, 1, 1, 4)}, {}),
        ("Relu", {}, {}),
        FIRST,
        ("AveragePool", {}, {"kernel_shape": [2, 2], "strides": [2, 2]}),
        LAST,
        ("Reshape", {"s": np.array([-1, 64])}, {}),
        ("MatMul", {"w": drawn(64, 5)}, {}),
    ],
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_row_of_nodes_gives_the_values_of_onnx_own_evaluator(name, tmp_path):
    nodes, constants = row(*CHAINS[name])
    channels_last = CHAINS[name][0] is FIRST
    sizes = (1, 8, 8, 2) if channels_last else (1, 2, 8, 8)
    path = save(tmp_path / "m.onnx", nodes, constants, sizes=sizes)
    values = INPUT.transpose(0, 2, 3, 1) if channels_last else INPUT
    (expected,) = ReferenceEvaluator(onnx.load(path)).run(None, {"x": values})
    read = load_onnx(path)
    assert read.input_shape == (2, 8, 8)
    assert onnx_input_shape(path) == (2, 8, 8)
    with torch.no_grad():
        given = read.network.eval()(torch.from_numpy(INPUT)).numpy()
    if given.ndim == 4 and expected.shape != given.shape:
        expected = expected.transpose(0, 3, 1, 2)
    assert abs(expected).max() > 0.1
    np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-4)


WRITTEN = {
    "torch-onnx": "",
    "torch-onnx-script": "",
    "torch-onnx-layers": "LogSoftmax",
    "torch-onnx-script-layers": "LogSoftmax",
    "keras": "",
    "keras-layers": "Softmax",
    "tensorflow": "",
    "tensorflow-layers": "Softmax",
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_file_of_another_tool_gives_the_values_of_onnx_runtime(
    name, tmp_path, monkeypatch, caplog
):
    path = _unpacked(name, tmp_path)
    monkeypatch.syspath_prepend(str(FILES))
    from relu_network import inputs

    read = load_onnx(path)
    with torch.no_grad():
        given = read.network.eval()(torch.from_numpy(inputs()))
    if WRITTEN[name]:
        assert f"({WRITTEN[name]}) is left out" in caplog.text
        given = torch.softmax(given, 1) if WRITTEN[name] == "Softmax" else given.log_softmax(1)
    with np.load(FILES / f"{name}.npz") as played:
        np.testing.assert_allclose(given.numpy(), played["values"], rtol=1e-5, atol=1e-5)
        if "keras" in played:  # Keras' own network, before any export
            np.testing.assert_allclose(given.numpy(), played["keras"], rtol=1e-5, atol=1e-5)
    assert read.input_shape == (2, 8, 8)


# Keras' separable convolutions have nothing between their two halves.
NO_NEURONS_BETWEEN = ("keras-layers", "tensorflow-layers")


@pytest.mark.parametrize("name", WRITTEN)
def test_a_file_of_another_tool_becomes_a_program_at_the_shape_that_it_states(name, tmp_path):
    path = _unpacked(name, tmp_path)
    assert stated_input_shape(path) == (2, 8, 8)
    if name in NO_NEURONS_BETWEEN:
        with pytest.raises(ConversionError, match="conv3: no neuron layer lies between"):
            read_model(path, chip="unbounded")
        return
    model = read_model(path, chip="unbounded")
    assert model.program.input.shape == (2, 8, 8)
    assert model.network is not None
    assert not any(isinstance(layer, nn.ReLU) for layer in model.network.modules())


def _unpacked(name: str, folder: Path) -> Path:
    path = folder / f"{name}.onnx"
    path.write_bytes(gzip.decompress((FILES / f"{name}.onnx.gz").read_bytes()))
    return path


def _beside(folder: Path) -> Path:
    """Return a graph as torch writes it by default, with its weights in a file beside."""
    (folder / "torch-onnx-beside.onnx.data").write_bytes(
        gzip.decompress((FILES / "torch-onnx-beside.onnx.data.gz").read_bytes())
    )
    return _unpacked("torch-onnx-beside", folder)


def test_weights_in_a_file_beside_the_graph_are_read(tmp_path):
    network = load_onnx(_beside(tmp_path)).network
    again = load_onnx(_unpacked("torch-onnx", tmp_path)).network
    assert torch.equal(network.conv1.weight, again.conv1.weight)


@pytest.mark.parametrize("place", ["../w.data", "/etc/passwd", "gone.data", "link.data", ""])
def test_weights_are_read_from_nowhere_else(place, tmp_path):
    path = _beside(tmp_path)
    (tmp_path / "link.data").symlink_to(tmp_path / "torch-onnx-beside.onnx.data")
    (tmp_path.parent / "w.data").write_bytes(bytes(4096))
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for item in tensor.external_data:
            if item.key == "location":
                item.value = place
    path.write_bytes(model.SerializeToString())
    with pytest.raises(NetworkError, match="its weights are in the file"):
        load_onnx(path)


REFUSED = {
    "a branch": (
        [CONV, ("Add", {}, {})],
        "joins branches",
    ),
    "LeakyRelu": ([CONV, ("LeakyRelu", {}, {})], r"node y1 \(LeakyRelu\) is no ReLU"),
    "Clip": ([CONV, ("Clip", {}, {})], r"\(Clip\) is no ReLU"),
    "LSTM": ([("LSTM", {"w": drawn(1, 4, 2), "r": drawn(1, 4, 1)}, {})], "is recurrent"),
    "QuantizeLinear": ([CONV, ("QuantizeLinear", {"s": np.float32(1)}, {})], "is quantised"),
    "ConvTranspose": (
        [("ConvTranspose", {"w": drawn(2, 4, 2, 2)}, {})],
        "is none of Transpose, Conv",
    ),
    "arithmetic on the input": ([("Mul", {"a": np.float32(2)}, {}), CONV], "behind no convolution"),
    "arithmetic on pixels": (
        [CONV, ("Add", {"a": drawn(1, 4, 8, 8)}, {})],
        "not a number for each",
    ),
    "arithmetic behind a pool": (
        [CONV, ("GlobalAveragePool", {}, {}), ("Mul", {"a": np.float32(2)}, {})],
        "behind no convolution",
    ),
    "a softmax inside": ([CONV, ("Softmax", {}, {}), CONV], "is none of"),
    "a linear layer on maps": ([CONV, ("MatMul", {"w": drawn(8, 3)}, {})], "applied to each pixel"),
    "a flattened input": ([("Flatten", {}, {})], "before any convolution"),
    "half a flattening": (
        [CONV, ("Reshape", {"s": np.array([1, 4, 64])}, {})],
        "only the flattening of whole maps",
    ),
    "a transpose of y and x": (
        [CONV, ("Transpose", {}, {"perm": [0, 1, 3, 2]}), ("Conv", {"w": drawn(1, 4, 3, 3)}, {})],
        "takes its maps with the axes",
    ),
    "a padding with ones": (
        [CONV, ("Pad", {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "v": np.float32(1)}, {}), CONV],
        "no padding of maps with zeros",
    ),
    "a padding before a pool": (
        [
            CONV,
            ("Pad", {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])}, {}),
            ("GlobalAveragePool", {}, {}),
        ],
        "follows a padding",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_equivalent_is_refused_by_its_node(name, tmp_path):
    parts, message = REFUSED[name]
    nodes, constants = row(*parts)
    if name == "a branch":
        nodes[1].input.append("x")
    path = save(tmp_path / "m.onnx", nodes, constants)
    with pytest.raises(NetworkError, match=message) as caught:
        load_onnx(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("sizes", "given"),
    [
        (("b", 2, "h", "w"), (2, 8, 8)),
        (("b", "c", "h", "w"), (2, 8, 8)),
    ],
)
def test_an_open_size_is_taken_from_the_input_shape(sizes, given, tmp_path):
    nodes, constants = row(CONV, ("Flatten", {}, {}), ("MatMul", {"w": drawn(256, 3)}, {}))
    path = save(tmp_path / "m.onnx", nodes, constants, sizes=sizes)
    assert stated_input_shape(path) is None
    with pytest.raises(NetworkError, match="leaves the size of its input open: give --input-shape"):
        load_network(path)
    assert load_onnx(path, given).input_shape == given
    assert isinstance(load_network(path, input_shape=given)[0], nn.Conv2d)


def test_an_open_size_in_tensorflows_order_is_taken_from_the_input_shape(tmp_path):
    nodes, constants = row(FIRST, CONV)
    path = save(tmp_path / "m.onnx", nodes, constants, sizes=("b", "h", "w", 2))
    assert load_onnx(path, (2, 6, 9)).input_shape == (2, 6, 9)


def test_a_row_of_values_may_be_the_input(tmp_path):
    nodes, constants = row(("Gemm", {"w": drawn(6, 4)}, {}), ("Relu", {}, {}))
    path = save(tmp_path / "m.onnx", nodes, constants, sizes=(1, 6))
    read = load_onnx(path)
    assert read.input_shape is None
    assert read.network(torch.ones(1, 6)).shape == (1, 4)


@pytest.mark.parametrize("sizes", [(1, 1, 6, 9), (1, 6, 9, 1)])
def test_an_input_of_one_channel_may_be_flattened_first(sizes, tmp_path):
    nodes, constants = row(("Flatten", {}, {}), ("MatMul", {"w": drawn(54, 4)}, {}))
    path = save(tmp_path / "m.onnx", nodes, constants, sizes=sizes)
    read, values = load_onnx(path), drawn(*sizes)
    assert read.input_shape == (1, 6, 9)
    (expected,) = ReferenceEvaluator(onnx.load(path)).run(None, {"x": values})
    given = read.network(torch.from_numpy(values.reshape(1, 1, 6, 9))).detach().numpy()
    np.testing.assert_allclose(given, expected, rtol=1e-5, atol=1e-5)


def test_constants_are_computed_on_the_way_within_a_limit(tmp_path, monkeypatch):
    nodes = [
        helper.make_node("Transpose", ["w"], ["t"], perm=[1, 0, 2, 3]),
        helper.make_node("Mul", ["t", "two"], ["k"]),
        helper.make_node("Conv", ["x", "k"], ["y"]),
    ]
    weights = drawn(2, 4, 3, 3)
    constants = {"w": weights, "two": np.float32([2])}
    path = save(tmp_path / "m.onnx", nodes, constants)
    read = load_onnx(path).network
    assert torch.equal(read.conv1.weight, torch.from_numpy(weights.transpose(1, 0, 2, 3) * 2))
    monkeypatch.setattr(_onnx_graph, "MOST_COMPUTED", 50)
    with pytest.raises(FileFormatError, match="makes a constant of 72 values"):
        load_onnx(path)


@pytest.mark.parametrize("kind", ["Concat", "ConstantOfShape", "Add", "Expand"])
def test_a_small_graph_that_computes_much_is_refused(kind, tmp_path):
    constants = {"c0": np.ones(2, np.float32), "s": np.array([2**20, 2**20])}
    if kind == "Concat":
        nodes = [
            helper.make_node("Concat", [f"c{n}", f"c{n}"], [f"c{n + 1}"], axis=0) for n in range(40)
        ]
    elif kind == "Add":
        constants |= {"c1": np.ones((2**14, 1), np.float32), "c2": np.ones((1, 2**14), np.float32)}
        nodes = [helper.make_node("Add", ["c1", "c2"], ["c3"])]
    else:
        nodes = [helper.make_node(kind, ["s"] if kind[0] == "C" else ["c0", "s"], ["c1"])]
    nodes.append(helper.make_node("Relu", ["x"], ["y"]))
    with pytest.raises(SpeckflexError, match="constant"):
        load_onnx(save(tmp_path / "m.onnx", nodes, constants))


def test_a_tensor_that_claims_much_is_refused(tmp_path):
    nodes, constants = row(CONV)
    path = save(tmp_path / "m.onnx", nodes, constants)
    model = onnx.load(path)
    model.graph.initializer[0].dims[:] = [2**20, 2**20, 3, 3]
    path.write_bytes(model.SerializeToString())
    with pytest.raises(FileFormatError, match="claims"):
        load_onnx(path)


def test_damaged_graphs_give_no_other_error_than_ours(tmp_path, rng):
    whole, path = _unpacked("keras", tmp_path).read_bytes(), tmp_path / "damaged.onnx"
    for _ in range(150):
        content = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            content[rng.integers(len(content))] = rng.integers(256)
        path.write_bytes(bytes(content[: rng.integers(len(content) // 2, len(content) + 1)]))
        try:
            load_network(path)
        except SpeckflexError as error:
            assert "\n" not in str(error)  # noqa: PT017 - an intact load is as good


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    nodes, constants = row(CONV)
    path = save(tmp_path / "m.onnx", nodes, constants)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'speckflex\[onnx\]'"):
        load_network(path)


@pytest.mark.parametrize("choice", ["factory", "key"])
def test_a_graph_takes_no_factory_and_no_key(choice, tmp_path):
    nodes, constants = row(CONV)
    with pytest.raises(NetworkError, match=f"needs no {choice}"):
        load_network(save(tmp_path / "m.onnx", nodes, constants), **{choice: "vggsnn"})
