"""Torch model files, read without running any code in them."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import pickletools
import re
import warnings
import zipfile
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import torch
from torch import nn

from speckflex._support.text import first_line
from speckflex.errors import FileFormatError, NetworkError
from speckflex.networks.neurons import FusedIAFSqueeze, Triangular

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["MAX_PICKLE_BYTES", "MAX_UNPACKED_BYTES", "load_pickle", "pickle_module"]

# The largest network of the papers has 37 MB of weights; this leaves room for optimiser states.
MAX_UNPACKED_BYTES = 2 * 2**30
MAX_PICKLE_BYTES = 64 * 2**20
# torch stores its members uncompressed, so a file that unpacks to far more than itself is no model.
MAX_EXPANSION = 16
# A file of torch before 1.6 is five pickles in a row: magic, version, system, object, storages.
LEGACY_PICKLES = 5
ZIP_START = b"PK\x03\x04"

# The names that torch itself writes for tensors and modules; others must be layers.
TENSOR_GLOBALS = re.compile(
    r"torch\.(\w+Storage|Size|device|Tensor|Q?U?Int\d\w*|q?u?int\d\w*|b?float\d\w*|complex\d+|bool)"
    r"|torch\.storage\.(Untyped|Typed)Storage"
    r"|torch\._utils\._rebuild_(tensor|tensor_v2|tensor_v3|parameter|parameter_with_state)"
    r"|torch\.nn\.parameter\.Parameter|torch\.serialization\._get_layout"
    r"|collections\.(OrderedDict|Counter)|_codecs\.encode|builtins\.(set|bytearray)"
)
# The backend's own layers need samna or its stand-in to be imported, so they are loaded on demand.
BACKEND_MODULES = ("dvs_layer", "crop2d", "flipdims")
BACKEND = "sinabs.backend.dynapcnn"
OWN_LAYERS = "speckflex.networks.neurons"
# Files of version 0.1.0 name these classes by the module that they were in.
FORMER_NAMES = {
    "speckflex.neurons.FusedIAFSqueeze": FusedIAFSqueeze,
    "speckflex.neurons.Triangular": Triangular,
}


class _NumberType:
    """A numpy dtype of a number, in place of `numpy.dtype`: no object and no structure."""

    def __init__(self, name: str, *_: Any) -> None:
        self.dtype = np.dtype(name)
        if self.dtype.kind not in "biuf":
            raise FileFormatError(f"a value of dtype {name!r} is not a number: save plain numbers")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder("<" if state[1] == "|" else state[1])


class _Number:
    """Makes plain numbers of pickled numpy scalars."""

    def __new__(cls, dtype: _NumberType, content: bytes) -> Any:
        """Return the number, as Python has it."""
        return np.frombuffer(content, dtype.dtype, count=1)[0].item()


# Under numpy's names stand classes that take numbers and nothing else.
NUMPY_GLOBALS: dict[str, type] = {
    "numpy._core.multiarray.scalar": _Number,
    "numpy.core.multiarray.scalar": _Number,
    "numpy.dtype": _NumberType,
}


def load_pickle(path: Path) -> Any:
    """Return the module or state dict in a torch file.

    Two checks come before any content is built: every global that the pickle names must be in
    this module's list, and torch's weights-only unpickler must accept the pickle.

    Raises:
        NetworkError: the file is missing, or names a class or function that is not allowed.
        FileFormatError: the file is damaged, cut short, empty, too large or something else.
    """
    names = _named_globals(path)
    allowed = _allowed(names)
    refused = sorted(name for name in names - set(allowed) if not TENSOR_GLOBALS.fullmatch(name))
    if refused:
        raise NetworkError(
            f"{path}: asks for {refused[0]}{_and_more(refused)}, which is no layer of torch.nn,"
            " sinabs or speckflex, so nothing was loaded: save a state dict and name its network"
            " factory"
        )
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(list(allowed.values())):
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a hostile or damaged pickle can raise anything
        # torch wraps the reason in several lines of advice; the reason itself is the context.
        raise _damaged(path, error.__context__ or error) from error


def pickle_module(network: nn.Module) -> bytes:
    """Return `network` as a torch file that `load_pickle` takes.

    Raises:
        NetworkError: the network holds a class or function that `load_pickle` would refuse.
    """
    buffer = io.BytesIO()
    try:
        torch.save(network, buffer)
    except Exception as error:  # a user's object may refuse in any way
        raise NetworkError(
            f"network {type(network).__name__} can't be pickled ({first_line(error)}):"
            " save its state dict instead"
        ) from error
    with zipfile.ZipFile(buffer) as archive:
        names = _globals_of(archive.read(_pickle_member(archive)))
    allowed = _allowed(names)
    refused = sorted(name for name in names - set(allowed) if not TENSOR_GLOBALS.fullmatch(name))
    if refused:
        raise NetworkError(
            f"network {type(network).__name__} holds {refused[0]}{_and_more(refused)}, which is"
            " no layer of torch.nn, sinabs or speckflex: save its state dict and name its factory"
        )
    return buffer.getvalue()


def _and_more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def _named_globals(path: Path) -> set[str]:
    """Return every global that the file's pickles name, without unpickling."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            if file.read(len(ZIP_START)) == ZIP_START:
                return _globals_of(_zipped_pickle(file, path, size))
            file.seek(0)
            return _legacy_globals(file, path)
    except OSError as error:
        raise NetworkError(
            f"{path}: can't be read ({error.strerror or error}): check the path"
        ) from error
    except zipfile.BadZipFile as error:
        raise _damaged(path, error) from error
    except (ValueError, EOFError, NotImplementedError, RuntimeError, IndexError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: BaseException) -> FileFormatError:
    return FileFormatError(
        f"{path}: is damaged or no torch model ({first_line(error)}): save the model again"
    )


def _zipped_pickle(file: BinaryIO, path: Path, size: int) -> bytes:
    with zipfile.ZipFile(file) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > min(MAX_UNPACKED_BYTES, MAX_EXPANSION * size):
            raise FileFormatError(
                f"{path}: {size} bytes that unpack to {unpacked}, more than {MAX_UNPACKED_BYTES}"
                f" or {MAX_EXPANSION} times the file: it is no model, save the model again"
            )
        if any(name.endswith("/constants.pkl") for name in archive.namelist()):
            raise NetworkError(
                f"{path}: is a TorchScript archive: save the module itself or its state dict"
            )
        with archive.open(_pickle_member(archive)) as member:
            content = member.read(MAX_PICKLE_BYTES + 1)
    if len(content) > MAX_PICKLE_BYTES:
        raise FileFormatError(
            f"{path}: its pickle has more than {MAX_PICKLE_BYTES} bytes: save the model again"
        )
    return content


def _pickle_member(archive: zipfile.ZipFile) -> str:
    members = [name for name in archive.namelist() if name.split("/")[1:] == ["data.pkl"]]
    if len(members) != 1:
        raise ValueError(f"a zip with {len(members)} data.pkl, a torch file has one")
    return members[0]


def _legacy_globals(file: BinaryIO, path: Path) -> set[str]:
    """Return the globals of a file of pickles, up to the first that is damaged."""
    start = file.read(1)
    if not start:
        raise FileFormatError(f"{path}: is empty: save the model again")
    file.seek(0)
    names = _globals_of(file)
    with contextlib.suppress(ValueError, EOFError, IndexError, RuntimeError):
        for _ in range(LEGACY_PICKLES - 1):
            names |= _globals_of(file)
    # Such files keep a module's source code beside it, which the weights-only reader refuses.
    layers = sorted(names & set(_allowed(names)) - set(NUMPY_GLOBALS))
    if layers:
        raise NetworkError(
            f"{path}: holds layers ({layers[0]}) in the format of torch before 1.6, of which only"
            " state dicts can be read: save the module again with its default format"
        )
    return names


def _globals_of(pickle: bytes | BinaryIO) -> set[str]:
    """Return the dotted names that a pickle would import.

    Raises:
        ValueError: the pickle is damaged, or hides the names that it would import.
    """
    names: set[str] = set()
    strings: list[str] = []
    for opcode, argument, _ in pickletools.genops(pickle):
        if opcode.name in ("GLOBAL", "INST"):
            # Protocol 2, which torch writes, keeps Python 2's name of the builtins.
            name = str(argument).replace(" ", ".")
            names.add(re.sub(r"^__builtin__\.", "builtins.", name))
        elif opcode.name == "STACK_GLOBAL":
            names.add(".".join(strings[-2:]) or "a hidden name")
        elif opcode.name.startswith("EXT"):
            names.add(f"extension code {argument}")
        elif "UNICODE" in opcode.name or "STRING" in opcode.name:
            strings.append(str(argument))
    return names


def _allowed(names: set[str]) -> dict[str, Any]:
    """Return the classes that a pickle with these globals may use, by their dotted names."""
    classes = {f"{cls.__module__}.{cls.__qualname__}": cls for cls in _layer_classes(names)}
    for name, cls in NUMPY_GLOBALS.items():
        classes[name] = _renamed(cls, name)
    for name, cls in FORMER_NAMES.items():
        if name in names:
            classes |= {name: _moved(cls, name), f"{cls.__module__}.{cls.__qualname__}": cls}
    return classes


def _renamed(cls: type, dotted: str) -> type:
    """Return a subclass that torch's unpickler finds under the dotted name of numpy's own."""
    module, _, name = dotted.rpartition(".")
    return type(name, (cls,), {"__module__": module})


def _moved(cls: type, former_name: str) -> type:
    """Return what torch's unpickler finds under a former name: it makes instances of `cls`."""

    def new(_: type) -> Any:
        return object.__new__(cls)

    module, _, name = former_name.rpartition(".")
    return type(name, (cls,), {"__module__": module, "__new__": new})


def _layer_classes(names: set[str]) -> Iterator[type]:
    yield from _modules_in("torch.nn.modules", lambda cls: cls.__module__.startswith("torch.nn."))
    yield from _modules_in("sinabs.layers", lambda cls: cls.__module__.startswith("sinabs."))
    yield from _classes_in("sinabs.activation")
    yield from _modules_in("sinabs.network", lambda cls: cls.__name__ == "Network")
    if any(name.startswith(OWN_LAYERS) for name in names):
        yield from _own_layers()
    if any(name.startswith(BACKEND) for name in names):
        from speckflex.samna_access import load_samna

        load_samna()
        for module in BACKEND_MODULES:
            yield from _modules_in(f"{BACKEND}.{module}", lambda _: True)


def _own_layers() -> Iterator[type]:
    """Yield the neurons and surrogate gradients that speckflex itself defines."""
    for cls in _classes_in(OWN_LAYERS):
        if cls.__module__ == OWN_LAYERS and not cls.__name__.startswith("_"):
            yield cls


def _modules_in(name: str, accept: Callable[[type], bool]) -> Iterator[type]:
    """Yield the module classes that a package offers; lazy ones run code when first called."""
    for cls in _classes_in(name):
        if issubclass(cls, nn.Module) and accept(cls) and not cls.__name__.startswith("Lazy"):
            yield cls


def _classes_in(name: str) -> Iterator[type]:
    for _, cls in inspect.getmembers(importlib.import_module(name), inspect.isclass):
        yield cls
