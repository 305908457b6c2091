"""The table of model files in the documents: each row is tried, on a file that its tool wrote."""

import gzip
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from speckflex.errors import FileFormatError
from speckflex.networks._onnx import load_onnx
from speckflex.networks.file_kinds import FILE_KINDS
from speckflex.networks.files import load_network

FILES = Path(__file__).resolve().parents[1] / "files" / "models"
DOCS = Path(__file__).resolve().parents[2] / "docs" / "formats.md"
TORCH = "torch 2.13.0"
KERAS = "Keras 3.15.1 on torch"
TENSORFLOW = "Keras 3.15.1 on TensorFlow 2.21.0, tf2onnx 1.17.0"
WHOLE, WEIGHTS = "loads, the tool's weights", "loads with `--network`, the tool's weights"
VALUES = "loads, the values of the tool"


class Row(NamedTuple):
    """A file, who wrote it, what of it, and what becomes of it."""

    file: str
    writer: str
    content: str
    verdict: str


def unpacked(name: str, folder: Path) -> Path:
    """Return the path of a file, unpacked."""
    path = folder / name
    path.write_bytes(gzip.decompress((FILES / f"{name}.gz").read_bytes()))
    return path


def refused(kind: str) -> str:
    """Return the verdict of a file that is named and refused."""
    return f"refused: {next(each.what for each in FILE_KINDS if each.name == kind)}"


ROWS = (
    Row("torch-module.pt", TORCH, "`torch.save(net)`", WHOLE),
    Row("torch-state.pth", TORCH, "`torch.save(net.state_dict())`", WEIGHTS),
    Row("torch-legacy.pt", TORCH, "the same, in the format before torch 1.6", WEIGHTS),
    Row("lightning.ckpt", "Lightning 2.6.6", "a checkpoint of `Trainer`", WEIGHTS),
    Row("torch.safetensors", "safetensors 0.8.0", "a state dict", WEIGHTS),
    Row("torch-script.pt", TORCH, "`torch.jit.trace`", refused("TorchScript")),
    Row("torch-export.pt2", TORCH, "`torch.export.save`", refused("torch.export")),
    Row("torch-onnx.onnx", TORCH, "`torch.onnx.export`", VALUES),
    Row("torch-onnx-beside.onnx", TORCH, "the same, weights in a file beside", VALUES),
    Row("torch-onnx-layers.onnx", TORCH, "functions, strides, groups, global mean", VALUES),
    Row("torch-onnx-script.onnx", TORCH, "`torch.onnx.export(dynamo=False)`", VALUES),
    Row("torch-onnx-script-layers.onnx", TORCH, "functions, strides, groups, global mean", VALUES),
    Row("keras.onnx", KERAS, "`model.export(format='onnx')`", VALUES),
    Row("keras-layers.onnx", KERAS, "separable layers, strides, padding, global mean", VALUES),
    Row("tensorflow.onnx", TENSORFLOW, "`model.export(format='onnx')`", VALUES),
    Row(
        "tensorflow-layers.onnx",
        TENSORFLOW,
        "separable layers, strides, padding, global mean",
        VALUES,
    ),
    Row("keras.keras", KERAS, "`model.save`", refused("Keras")),
    Row("keras.h5", KERAS, "`model.save`", refused("Keras")),
    Row("keras.weights.h5", KERAS, "`model.save_weights`", refused("Keras weights")),
    Row("tensorflow.tflite", "TensorFlow 2.21.0", "`TFLiteConverter`", refused("TFLite")),
    Row("akida.fbz", "Akida 2.19.3", "`model.save`; known by its suffix", refused("Akida")),
)


@pytest.fixture
def factory(monkeypatch):
    """The name of the factory of the network that the tools wrote."""
    monkeypatch.syspath_prepend(str(FILES))
    yield "torch_network:make"
    sys.modules.pop("torch_network", None)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.file)
def test_a_file_becomes_what_the_table_says(row, factory, tmp_path):
    path = unpacked(row.file, tmp_path)
    if row.verdict.startswith("refused"):
        with pytest.raises(FileFormatError) as caught:
            load_network(path)
        assert str(caught.value).startswith(f"{path}: is {row.verdict.removeprefix('refused: ')}: ")
    elif row.verdict == VALUES:
        _check_values(row.file, path)
    else:
        network = load_network(path, factory=factory if row.verdict == WEIGHTS else None)
        from torch_network import make

        for key, value in make().state_dict().items():
            assert torch.equal(network.state_dict()[key], value), key


def _check_values(file: str, path: Path) -> None:
    from relu_network import inputs

    if "beside" in file:
        unpacked(f"{file}.data", path.parent)
    with torch.no_grad():
        given = load_onnx(path).network.eval()(torch.from_numpy(inputs()))
    name = file.removesuffix(".onnx").replace("-beside", "")
    with np.load(FILES / f"{name}.npz") as played:
        expected = torch.from_numpy(played["values"])
    if "layers" in file:  # they end in a soft maximum, which is left out
        given = given.log_softmax(1)
        expected = expected if file.startswith("torch") else expected.log()
    torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-4)


def test_the_documents_say_of_every_file_what_the_tests_say():
    written = {path.name.removesuffix(".gz") for path in FILES.glob("*.gz")}
    assert {row.file for row in ROWS} == written - {"torch-onnx-beside.onnx.data"}
    page = DOCS.read_text()
    for row in ROWS:
        assert f"| {' | '.join((f'`{row.file}`', *row[1:]))} |" in page


def test_the_documents_name_every_kind_of_file_and_what_to_do_with_it():
    page = DOCS.read_text()
    for kind in FILE_KINDS:
        if kind.remedy:
            assert f"| {kind.name} | {kind.what} | {kind.remedy} |" in page
