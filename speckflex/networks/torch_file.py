"""Torch's files, of today and of before 1.6, read without running any code in them."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import torch

from speckflex._support.reading import check_is_file
from speckflex._support.text import first_line
from speckflex.errors import FileFormatError, NetworkError, SpeckflexError
from speckflex.networks._limits import MAX_EXPANSION, MAX_PICKLE_BYTES, MAX_UNPACKED_BYTES
from speckflex.networks._pickle_machine import OpaqueName, PickleMachine
from speckflex.networks._torch_names import Storage, StorageKind, TorchNames

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import nn

__all__ = ["TorchContent", "read_torch_file", "torch_file_of"]

# A file of torch before 1.6 is a row of pickles: magic, version, system, object, storages' keys.
MAGIC = 0x1950A86A20F9469CFC6C
ZIP_START = b"PK\x03\x04"
STORAGE_ID = 5  # the word "storage", the type, the key, the place, the number of values
NOT_ALLOWED = "which is no layer of torch.nn, sinabs or speckflex"


class TorchContent(NamedTuple):
    """What a torch file holds.

    Args:
        value: built of plain values, tensors, layers and opaque objects.
        opaque: the dotted names of classes and functions that stand for nothing.
    """

    value: Any
    opaque: tuple[str, ...]


def read_torch_file(path: Path, *, values: bool = True) -> TorchContent:
    """Return what `torch.save` wrote, with opaque objects in place of all that is no layer.

    Args:
        path: of the file.
        values: False for tensors without values, which are soon read.

    Raises:
        NetworkError: the file can't be read, or names what runs code.
        FileFormatError: the file is damaged, cut short, empty or too large.
    """
    check_is_file(path, NetworkError)
    try:
        with path.open("rb") as file:
            return _read(file, str(path), path.stat().st_size, values=values)
    except SpeckflexError:
        raise
    except OSError as error:
        raise NetworkError(
            f"{path}: can't be read ({error.strerror or error}): check the path"
        ) from error
    except Exception as error:  # a hostile or damaged pickle can raise anything
        raise FileFormatError(
            f"{path}: is damaged or no torch model ({first_line(error)}): save the model again"
        ) from error


def torch_file_of(network: nn.Module) -> bytes:
    """Return `network` as a torch file that `read_torch_file` reads whole.

    Raises:
        NetworkError: the network holds a class or function that would be opaque.
    """
    name = f"network {type(network).__name__}"
    buffer = io.BytesIO()
    try:
        torch.save(network, buffer)
    except Exception as error:  # a user's object may refuse in any way
        raise NetworkError(
            f"{name} can't be pickled ({first_line(error)}): save its state dict instead"
        ) from error
    try:
        opaque = _read(buffer, name, buffer.tell()).opaque
    except NetworkError:
        raise
    except Exception as error:  # what pickles in one way may not be built in another
        raise NetworkError(
            f"{name} can't be read back ({first_line(error)}): save its state dict instead"
        ) from error
    if opaque:
        raise NetworkError(
            f"{name} holds {opaque[0]}{_and_more(opaque)}, {NOT_ALLOWED}: save its state dict and"
            " name its factory"
        )
    return buffer.getvalue()


def _and_more(names: tuple[str, ...]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def _read(file: BinaryIO, source: str, size: int, *, values: bool = True) -> TorchContent:
    names = TorchNames(source)
    file.seek(0)
    zipped = file.read(len(ZIP_START)) == ZIP_START
    file.seek(0)
    device = "cpu" if values else "meta"
    read = _read_zip if zipped else _read_row
    value = read(file, names, size, device)
    return TorchContent(value, tuple(names.opaque))


def _machine(names: TorchNames, stored: Any) -> PickleMachine:
    return PickleMachine(find=names.find, make=names.make, fill=names.fill, stored=stored)


def _read_zip(file: BinaryIO, names: TorchNames, size: int, device: str) -> Any:
    with zipfile.ZipFile(file) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > min(MAX_UNPACKED_BYTES, MAX_EXPANSION * size):
            raise FileFormatError(
                f"{names.source}: {size} bytes that unpack to {unpacked}, more than"
                f" {MAX_UNPACKED_BYTES} or {MAX_EXPANSION} times the file: it is no model, save the"
                " model again"
            )
        member = _pickle_member(archive)
        folder = member.removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist():
            order = archive.read(f"{folder}byteorder")
            if order != b"little":
                raise FileFormatError(
                    f"{names.source}: has numbers in {order[:10]!r} byte order: save the model on a"
                    " machine with little-endian numbers"
                )
        with archive.open(member) as opened:
            content = opened.read(MAX_PICKLE_BYTES + 1)
        _check_pickle_size(content, names)
        return _machine(names, _ZipStorages(archive, folder, device)).run(content)


def _check_pickle_size(content: bytes, names: TorchNames) -> None:
    if len(content) > MAX_PICKLE_BYTES:
        raise FileFormatError(
            f"{names.source}: its pickle has more than {MAX_PICKLE_BYTES} bytes: save the model"
            " again"
        )


def _pickle_member(archive: zipfile.ZipFile) -> str:
    members = [name for name in archive.namelist() if name.split("/")[1:] == ["data.pkl"]]
    if len(members) != 1:
        raise ValueError(f"a zip with {len(members)} data.pkl, a torch file has one")
    return members[0]


class _ZipStorages:
    """The storages beside the pickle in a zip, each read once, of whatever types it is used."""

    def __init__(self, archive: zipfile.ZipFile, folder: str, device: str) -> None:
        self._archive, self._folder, self._device = archive, folder, device
        self._read: dict[str, torch.Tensor] = {}

    def __call__(self, identity: Any) -> Any:
        kind, key, count = _storage_id(identity)
        if not isinstance(kind, StorageKind):
            return kind
        claimed = count * kind.dtype.itemsize
        member = self._archive.getinfo(f"{self._folder}data/{key}")
        if member.file_size != claimed:
            raise ValueError(f"storage {key} of {member.file_size} bytes claims {claimed}")
        if self._device == "meta":
            return Storage(torch.zeros(count, dtype=kind.dtype, device="meta"))
        if key not in self._read:
            self._read[key] = _values(self._archive.read(member), torch.uint8)
        return Storage(self._read[key].view(kind.dtype))


def _storage_id(identity: Any) -> tuple[Any, str, int]:
    """Return type, key and number of values in the name of a storage."""
    if not isinstance(identity, tuple) or len(identity) < STORAGE_ID or identity[0] != "storage":
        raise ValueError("a persistent id that is no storage")
    _, kind, key, _, count, *_ = identity
    if not isinstance(kind, StorageKind | OpaqueName) or type(count) is not int or count < 0:
        raise ValueError("a storage without type or size")
    return kind, str(key), count


def _values(content: bytes, dtype: torch.dtype) -> torch.Tensor:
    if not content:
        return torch.zeros(0, dtype=dtype)
    return torch.frombuffer(bytearray(content), dtype=dtype)


def _read_row(file: BinaryIO, names: TorchNames, size: int, device: str) -> Any:
    """Return the content of a file of torch before 1.6."""
    storages = _RowStorages(size, device)
    machine = _machine(names, storages)
    if machine.run(file) != MAGIC:
        raise FileFormatError(
            f"{names.source}: is a pickle that torch.save did not write: write it with torch.save"
        )
    for _ in ("version", "system"):
        machine.run(file)
    value = machine.run(file)
    if device != "meta":
        storages.fill(file, machine.run(file))
    return value


class _RowStorages:
    """The storages behind the pickles of an old file: made while these are read, filled after."""

    def __init__(self, size: int, device: str) -> None:
        self._device = device
        self._size = size  # bytes of the file, so that a claim of more is not believed
        self._made: dict[str, Storage] = {}

    def __call__(self, identity: Any) -> Any:
        if isinstance(identity, tuple) and identity[:1] == ("module",) and len(identity) > 1:
            return identity[1]  # the class of a module; its source code comes behind
        kind, key, count = _storage_id(identity)
        if not isinstance(kind, StorageKind):
            raise ValueError(f"a storage of type {kind.dotted}")  # noqa: TRY004
        if key not in self._made:
            self._size -= count * kind.dtype.itemsize
            if self._size < 0:
                raise ValueError(f"storage {key} claims more bytes than the file has")
            self._made[key] = Storage(torch.zeros(count, dtype=kind.dtype, device=self._device))
        if self._made[key].values.dtype != kind.dtype:
            raise ValueError(f"storage {key} has two types")
        return self._part(self._made[key], *identity[STORAGE_ID:])

    def _part(self, storage: Storage, view: Any = None) -> Storage:
        """Return the storage, or the part of it that a view of torch before 0.4 names."""
        if view is None:
            return storage
        _, offset, count = view
        return Storage(storage.values[offset : offset + count])

    def fill(self, file: BinaryIO, keys: Any) -> None:
        """Read the values of each storage: their number in 8 bytes, then they themselves."""
        for storage in self._listed(keys):
            count = int.from_bytes(file.read(8), "little")
            n_bytes = storage.values.numel() * storage.values.element_size()
            content = file.read(n_bytes)
            if count != storage.values.numel() or len(content) != n_bytes:
                raise ValueError("a storage that is cut short")
            if content:
                storage.values.copy_(_values(content, storage.values.dtype))

    def _listed(self, keys: Any) -> Iterator[Storage]:
        if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(self._made):
            raise ValueError("a list of storages that is not that of the tensors")
        return (self._made[str(key)] for key in keys)
