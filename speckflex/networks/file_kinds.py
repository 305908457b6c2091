"""What a file is, told by its content and not by its name, and what to do with it."""

from __future__ import annotations

import tarfile
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from speckflex._support.hdf5 import is_hdf5
from speckflex._support.reading import check_is_file
from speckflex.errors import FileFormatError, NetworkError
from speckflex.networks._hdf5 import hdf5_content

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

__all__ = ["FILE_KINDS", "FileKind", "kind_of_file", "refusal_of"]


@dataclass(frozen=True)
class FileKind:
    """A kind of file.

    Args:
        name: one word or two, for tables.
        what: what such a file is, to follow the word "is".
        remedy: what to do with it in place of loading it as a network; "" for a network's file.
    """

    name: str
    what: str
    remedy: str = ""


TORCH = FileKind("torch", "a torch file")
LEGACY = FileKind("legacy torch", "a torch file in the format of torch before 1.6")
SAFETENSORS = FileKind("safetensors", "a safetensors file")
NIR = FileKind("NIR", "a NIR graph")
ONNX = FileKind("ONNX", "an ONNX graph")
TORCHSCRIPT = FileKind(
    "TorchScript",
    "a TorchScript archive, which holds code",
    "save torch.jit.load(FILE).state_dict() with torch.save, and name the network's factory",
)
EXPORTED = FileKind(
    "torch.export",
    "a program of torch.export, which holds operators in place of layers",
    "save torch.export.load(FILE).state_dict with torch.save, and name the network's factory",
)
TORCH_TAR = FileKind(
    "torch tar",
    "a torch file in the format of torch before 0.1.10",
    "load it with torch 1.x and save its state dict with torch.save",
)
PICKLE = FileKind(
    "pickle",
    "a pickle that torch.save did not write",
    "load it where it was made, and save the state dict with torch.save",
)
KERAS = FileKind(
    "Keras",
    "a Keras model",
    "export it with model.export('model.onnx', format='onnx') in Keras, and load that file",
)
KERAS_WEIGHTS = FileKind(
    "Keras weights",
    "a file of Keras weights without a network",
    "load them into their model, and export it with model.export('model.onnx', format='onnx')",
)
TFLITE = FileKind(
    "TFLite",
    "a TensorFlow Lite model",
    "export the float model that it was made of as ONNX, and load that file",
)
SAVED_MODEL = FileKind(
    "TensorFlow",
    "a TensorFlow graph",
    "convert its folder with python -m tf2onnx.convert --saved-model FOLDER --output model.onnx",
)
AKIDA = FileKind(
    "Akida",
    "an Akida model, whose weights have the bits of that chip",
    "export the float model that it was converted from as ONNX, and load that file",
)
LAVA = FileKind(
    "lava-dl",
    "a network that lava-dl wrote for Loihi",
    "save the state dict of the training network with torch.save, and name a factory of the same"
    " layers with sinabs' neurons",
)
PROGRAM = FileKind(
    "program", "a Program already", "load it with Program.load, or give it to deploy or check"
)
RECORDING = FileKind(
    "recording",
    "a recording and no network",
    "name the model file; compare reads recordings",
)
NIR_DATA = FileKind("NIR data", "NIR spike data and no network", "name the file of the graph")
EVENTS = FileKind(
    "events", "a file of events and no network", "name the model file, and this one with --data"
)
ARRAYS = FileKind(
    "numpy",
    "a file of numpy arrays",
    "give recordings with --data; save weights as tensors by name with torch.save",
)
HDF5 = FileKind(
    "other HDF5",
    "an HDF5 file without a NIR graph (it has no group 'node')",
    "export the network with nir, or save its state dict with torch.save",
)
ZIP = FileKind("other zip", "a zip without a model", "unpack it, and name the model file in it")
TAR = FileKind("other tar", "a tar archive", "unpack it, and name the model file in it")
GZIP = FileKind("gzip", "compressed with gzip", "unpack it with gunzip, and name the result")
EMPTY = FileKind("empty", "empty", "save the model again")
UNKNOWN = FileKind(
    "unknown",
    "damaged or of no known format",
    "save the network or its state dict with torch.save, or export it as NIR or ONNX",
)
FILE_KINDS = (
    *(TORCH, LEGACY, SAFETENSORS, NIR, ONNX),
    *(TORCHSCRIPT, EXPORTED, TORCH_TAR, PICKLE, KERAS, KERAS_WEIGHTS, TFLITE, SAVED_MODEL),
    *(AKIDA, LAVA, PROGRAM, RECORDING, NIR_DATA, EVENTS, ARRAYS),
    *(HDF5, ZIP, TAR, GZIP, EMPTY, UNKNOWN),
)

HEAD_BYTES = 600
# The start of torch's old format: a pickle of protocol 2 with its magic number.
LEGACY_START = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e"
STARTS = {
    LEGACY: (LEGACY_START,),
    PICKLE: tuple(bytes([0x80, protocol]) for protocol in range(2, 6)),
    ARRAYS: (b"\x93NUMPY",),
    GZIP: (b"\x1f\x8b",),
    EVENTS: (
        b"% ",
        b"#!AER-DAT",
        b"Event Stream",
    ),  # Prophesee's .raw and .dat, jAER's, Prophesee's .es
    SAVED_MODEL: (b"\x0a\x18saved_model",),
    ZIP: (b"PK\x05\x06",),  # without members
}
TFLITE_MARK = b"TFL3"  # in bytes 4 to 7
TAR_MARK, TAR_MARK_AT = b"ustar", 257
# The first member of torch's oldest format.
TORCH_TAR_MEMBERS = {"sys_info", "pickle", "tensors", "storages"}
HDF5_KINDS = {
    "nir": NIR,
    "nir data": NIR_DATA,
    "recording": RECORDING,
    "keras": KERAS,
    "keras weights": KERAS_WEIGHTS,
    "lava": LAVA,
    "events": EVENTS,
}
# What only the name tells, where the content is of no known format.
SUFFIXES = {".fbz": AKIDA, ".speck": PROGRAM, ".nir": NIR, ".pb": SAVED_MODEL}


def kind_of_file(path: Path) -> FileKind:
    """Return what a file is, by its content; by its name only where the content is not known.

    Raises:
        NetworkError: there is no such file, or it can't be read.
        FileFormatError: the file is HDF5, and damaged.
    """
    if path.is_dir():
        raise NetworkError(f"{path}: is a folder: name the model file in it")
    if not path.exists():
        raise NetworkError(f"{path}: no such file: check the path")
    check_is_file(path, NetworkError)
    try:
        with path.open("rb") as file:
            kind = _kind_of_content(file, path)
    except OSError as error:
        raise NetworkError(
            f"{path}: can't be read ({error.strerror or error}): check the path"
        ) from error
    return SUFFIXES.get(path.suffix.lower(), kind) if kind in {UNKNOWN, EMPTY} else kind


def refusal_of(path: Path, kind: FileKind) -> FileFormatError:
    """Return the error for a file that is no network's."""
    return FileFormatError(f"{path}: is {kind.what}: {kind.remedy}")


def _kind_of_content(file: BinaryIO, path: Path) -> FileKind:
    head = file.read(HEAD_BYTES)
    if head.startswith(b"PK\x03\x04"):
        return _kind_of_zip(file)
    if is_hdf5(path):
        return HDF5_KINDS.get(hdf5_content(path), HDF5)
    if head[TAR_MARK_AT:].startswith(TAR_MARK):
        return _kind_of_tar(file)
    size = path.stat().st_size
    signs = {
        EMPTY: not head,
        **{kind: head.startswith(starts) for kind, starts in STARTS.items()},
        TFLITE: head[4:8] == TFLITE_MARK,
        SAFETENSORS: _is_safetensors(head, size),
    }
    known = next((kind for kind, sign in signs.items() if sign), None)
    if known is not None:
        return known
    return ONNX if _is_onnx(file) else UNKNOWN


def _kind_of_zip(file: BinaryIO) -> FileKind:
    """Return the kind of a zip by the names of its members; a damaged one may be torch's."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = set(archive.namelist())
    except Exception:  # noqa: BLE001 - a damaged zip raises anything, and torch's reader says so
        return TORCH
    inner = {name.partition("/")[2] for name in names}
    signs = {
        TORCHSCRIPT: {"constants.pkl", "data.pkl"} <= inner,
        TORCH: "data.pkl" in inner,
        PROGRAM: "manifest.json" in names,
        KERAS: "model.weights.h5" in names,
        EXPORTED: bool({"models/model.json", "serialized_exported_program.json"} & (inner | names)),
        ARRAYS: bool(names) and all(name.endswith(".npy") for name in names),
    }
    return next((kind for kind, sign in signs.items() if sign), ZIP)


def _kind_of_tar(file: BinaryIO) -> FileKind:
    file.seek(0)
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            first = archive.next()
    except (tarfile.TarError, ValueError, EOFError, IndexError):
        return TAR
    return TORCH_TAR if first is not None and first.name in TORCH_TAR_MEMBERS else TAR


def _is_safetensors(head: bytes, size: int) -> bool:
    """Return whether a file begins with the length of a JSON text that it has."""
    length = int.from_bytes(head[:8], "little")
    return head[8:9] == b"{" and 2 <= length <= size - 8


# ModelProto in onnx.proto: the numbers of its fields, and which of them are whole numbers.
ONNX_FIELDS = {1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26}
ONNX_NUMBERS = {1, 5}
IR_VERSION = 1
VARINT, LENGTH_DELIMITED = 0, 2


def _is_onnx(file: BinaryIO) -> bool:
    """Return whether a file is a row of the fields of an ONNX model, its version of IR first.

    A file that is cut within its last field, the graph, is one as well.
    """
    file.seek(0)
    seen: set[int] = set()
    while (tag := _varint(file)) is not None:
        number, wire = tag >> 3, tag & 7
        expected = VARINT if number in ONNX_NUMBERS else LENGTH_DELIMITED
        value = _varint(file)
        if number not in ONNX_FIELDS or wire != expected or value is None:
            return False
        if not seen and number != IR_VERSION:
            return False
        seen.add(number)
        if wire == LENGTH_DELIMITED:
            file.seek(value, 1)
    return len(seen) > 1


def _varint(file: BinaryIO) -> int | None:
    """Return protobuf's next number, at most of 64 bits; None where there is none."""
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            return None
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    return None
