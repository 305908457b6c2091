"""Files are named by their content, whatever they are called, and each refusal has a remedy."""

import gzip
import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import nn

import speckflex as sf
from speckflex.conversion.model import read_model
from speckflex.errors import NetworkError, SpeckflexError
from speckflex.networks.file_kinds import FILE_KINDS, kind_of_file
from speckflex.networks.files import load_network

FILES = Path(__file__).resolve().parents[1] / "files"
LEGACY = Path(__file__).resolve().parents[1] / "legacy"
# Files that other tools wrote, with the kind that each is.
WRITTEN = {
    "akida.fbz": "Akida",
    "keras.h5": "Keras",
    "keras.keras": "Keras",
    "keras-layers.onnx": "ONNX",
    "keras.onnx": "ONNX",
    "keras.weights.h5": "Keras weights",
    "lightning.ckpt": "torch",
    "tensorflow-layers.onnx": "ONNX",
    "tensorflow.onnx": "ONNX",
    "tensorflow.tflite": "TFLite",
    "torch-export.pt2": "torch.export",
    "torch-legacy.pt": "legacy torch",
    "torch-module.pt": "torch",
    "torch-onnx-beside.onnx": "ONNX",
    "torch-onnx-layers.onnx": "ONNX",
    "torch-onnx-script-layers.onnx": "ONNX",
    "torch-onnx-script.onnx": "ONNX",
    "torch-onnx.onnx": "ONNX",
    "torch-script.pt": "TorchScript",
    "torch-state.pth": "torch",
    "torch.safetensors": "safetensors",
}
# What only its name tells: the content of Akida's files has no mark.
NEEDS_ITS_NAME = {"akida.fbz"}


def unpacked(name: str, folder: Path, *, called: str = "") -> Path:
    """Return the path of a file of `tests/files/models`, unpacked under a name."""
    path = folder / (called or name)
    path.write_bytes(gzip.decompress((FILES / "models" / f"{name}.gz").read_bytes()))
    return path


def _hdf5(path: Path, *groups: str, **attributes: str) -> None:
    with h5py.File(path, "w") as file:
        for group in groups:
            file.create_group(group)
        file.attrs.update(attributes)


def _zip(path: Path, *names: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "")


def _tar(path: Path, name: str) -> None:
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())


MADE = {
    "program": lambda path: shutil.copy(LEGACY / "program-0.1.0.speck", path),
    "recording": lambda path: shutil.copy(LEGACY / "recording-0.1.0.h5", path),
    "NIR": lambda path: path.write_bytes(
        gzip.decompress((FILES / "nir" / "norse.nir.gz").read_bytes())
    ),
    "NIR data": lambda path: path.write_bytes(
        gzip.decompress((FILES / "nir" / "spikes.nir.gz").read_bytes())
    ),
    # As lava-dl's export_hdf5 lays its groups out.
    "lava-dl": lambda path: _hdf5(path, "layer/0", "simulation"),
    "other HDF5": lambda path: _hdf5(path, "something"),
    "events": lambda path: path.write_bytes(b"% evt 3.0\n% end\n\x00\x00"),
    "numpy": lambda path: path.write_bytes(b"\x93NUMPY\x01\x00"),
    "other zip": lambda path: _zip(path, "readme.txt"),
    "other tar": lambda path: _tar(path, "readme.txt"),
    "torch tar": lambda path: _tar(path, "sys_info"),
    "TensorFlow": lambda path: path.write_bytes(b"\x0a\x18saved_model\x00"),
    "gzip": lambda path: path.write_bytes(gzip.compress(b"weights")),
    "pickle": lambda path: path.write_bytes(b"\x80\x04}."),
    "empty": lambda path: path.touch(),
    "unknown": lambda path: path.write_bytes(b"weights: none\n"),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_file_of_another_tool_is_named_by_its_content(name, tmp_path):
    called = name if name in NEEDS_ITS_NAME else "model.pth"
    assert kind_of_file(unpacked(name, tmp_path, called=called)).name == WRITTEN[name]


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("called", ["model.pt", "model", "model.h5"])
def test_a_file_is_named_by_its_content_whatever_it_is_called(kind, called, tmp_path):
    MADE[kind](tmp_path / called)
    assert kind_of_file(tmp_path / called).name == kind


def test_every_kind_is_tested():
    assert {*WRITTEN.values(), *MADE} == {kind.name for kind in FILE_KINDS}


@pytest.mark.parametrize("kind", [kind for kind in FILE_KINDS if kind.name in MADE and kind.remedy])
def test_what_is_no_network_is_refused_in_one_line_with_its_kind_and_a_remedy(kind, tmp_path):
    path = tmp_path / "model.pt"
    MADE[kind.name](path)
    with pytest.raises(SpeckflexError) as caught:
        load_network(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: is ")
    assert "\n" not in message
    if kind.name != "pickle":  # whose reader looks further, for what runs code
        assert message == f"{path}: is {kind.what}: {kind.remedy}"


def test_a_program_under_another_name_is_read_as_one(tmp_path):
    MADE["program"](tmp_path / "model.pt")
    assert len(read_model(tmp_path / "model.pt").program.cores) == 2


def test_numpy_archives_of_events_are_told_from_programs(tmp_path):
    np.savez(tmp_path / "arrays.npz", events=np.zeros(3))
    assert kind_of_file(tmp_path / "arrays.npz").name == "numpy"


def test_keras_weights_of_before_version_3_are_known(tmp_path):
    _hdf5(tmp_path / "old.h5", "conv2d", layer_names="conv2d")
    assert kind_of_file(tmp_path / "old.h5").name == "Keras weights"


@pytest.mark.parametrize("cut", [1, 40, 500, -1])
def test_an_onnx_file_that_is_cut_short_is_still_one(cut, tmp_path):
    path = unpacked("keras.onnx", tmp_path)
    path.write_bytes(path.read_bytes()[:cut])
    # cut in its first field it may be anything
    assert kind_of_file(path).name == ("unknown" if cut == 1 else "ONNX")


def test_a_folder_and_a_missing_file_are_one_line(tmp_path):
    for path, words in ((tmp_path, "is a folder"), (tmp_path / "\x1b[31mno.pt", "no such file")):
        with pytest.raises(NetworkError, match=words):
            kind_of_file(path)


@pytest.mark.parametrize("name", [*WRITTEN, *MADE])
def test_a_file_cut_or_flipped_anywhere_gives_no_other_error_than_ours(name, tmp_path, rng):
    path = tmp_path / "model.pt"
    if name in WRITTEN:
        unpacked(name, tmp_path, called="model.pt")
    else:
        MADE[name](path)
    whole = path.read_bytes()
    for _ in range(8):
        content = bytearray(whole[: rng.integers(len(whole) + 1)])
        for _ in range(rng.integers(3)):
            if content:
                content[rng.integers(len(content))] = rng.integers(256)
        path.write_bytes(bytes(content))
        try:
            load_network(path, factory="nmnist-3c1fc")
        except SpeckflexError as error:
            assert "\n" not in str(error)  # noqa: PT017 - an intact load is as good


@pytest.mark.filterwarnings("ignore:.*torch.jit.load:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.load:FutureWarning")  # since torch 2.15
def test_the_remedy_for_torchscript_works(tmp_path, monkeypatch):
    script = torch.jit.load(unpacked("torch-script.pt", tmp_path))
    torch.save(script.state_dict(), tmp_path / "weights.pt")
    _loads_into_the_same_network(tmp_path / "weights.pt", monkeypatch)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore:The given buffer is not writable")  # torch 2.11 itself
def test_the_remedy_for_exported_programs_works(tmp_path, monkeypatch):
    program = torch.export.load(unpacked("torch-export.pt2", tmp_path))
    torch.save(program.state_dict, tmp_path / "weights.pt")
    _loads_into_the_same_network(tmp_path / "weights.pt", monkeypatch)


def _loads_into_the_same_network(path: Path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(FILES / "models"))
    network = sf.load_network(path, factory="torch_network:make")
    from torch_network import make

    expected = make().state_dict()
    for key, parameter in network.named_parameters():
        if key in expected:
            assert torch.equal(parameter, expected[key]), key
    assert isinstance(network[0], nn.Conv2d)
