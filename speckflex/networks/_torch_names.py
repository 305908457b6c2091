"""What the names in a torch file stand for: layers, tensors, numbers; none of them is called."""

from __future__ import annotations

import importlib
import inspect
import re
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from speckflex.errors import NetworkError
from speckflex.networks._pickle_machine import Opaque, OpaqueName, hashable, is_usual_key
from speckflex.networks.neurons import FusedIAFSqueeze, Triangular

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Maker", "NumpyArray", "Storage", "StorageKind", "TorchNames"]

# What runs code, or makes other objects do so. No model needs it, and a file that names it is not
# read at all, even though nothing of it would be called.
DENIED = re.compile(
    r"(os|posix|nt|sys|subprocess|shutil|socket|ctypes|importlib|runpy|pty|webbrowser|pickle|_pickle"
    r"|marshal|dill|cloudpickle|io|_io|functools|operator|_operator|urllib\.request|torch\.hub"
    r"|torch\.ops|torch\.package|numpy\.f2py|numpy\.testing|pip\._internal)\..*"
    r"|builtins\.(eval|exec|execfile|compile|open|file|input|raw_input|getattr|setattr|delattr|apply"
    r"|reduce|map|filter|globals|locals|vars|breakpoint|exit|quit|help|__import__|__build_class__)"
    r"|code\.(interact|Interactive\w+)|types\.(\w*Function|Code|Method)Type|torch\.jit\.\w*load\w*"
)
STORAGE = re.compile(r"torch\.(?:cuda\.|storage\.)?(\w+)Storage")
STORAGE_TYPES = {
    "Float": torch.float32,
    "Double": torch.float64,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "ComplexFloat": torch.complex64,
    "ComplexDouble": torch.complex128,
    "Untyped": torch.uint8,
}
DTYPE = re.compile(r"torch\.(u?int\d\w*|b?float\d\w*|complex\d+|bool)")
NUMBER_TYPE = re.compile(r"[<>=|]?[biuf]\d{1,2}|bool")
# The backend's own layers need samna or its stand-in to be imported, so they are loaded on demand.
BACKEND_MODULES = ("dvs_layer", "crop2d", "flipdims")
BACKEND = "sinabs.backend.dynapcnn"
OWN_LAYERS = (
    "speckflex.networks.neurons",
    "speckflex.networks.quantised",
    "speckflex.networks.leaky",
    "speckflex.networks.residual",
)
MOST_UNUSUAL_ITEMS = 20
# Files of version 0.1.0 name these classes by the module that they were in.
FORMER_NAMES = {
    "speckflex.neurons.FusedIAFSqueeze": FusedIAFSqueeze,
    "speckflex.neurons.Triangular": Triangular,
}


@dataclass(frozen=True)
class StorageKind:
    """The type of a storage, as a pickle names it."""

    dtype: torch.dtype


@dataclass(eq=False)
class Storage:
    """Numbers in a row, which tensors lie in.

    Args:
        values: `(n,)` of the storage's type.
    """

    values: torch.Tensor


@dataclass(frozen=True, eq=False)
class Maker:
    """A function or class that a file may name, with what stands in its place."""

    dotted: str
    make: Callable[..., Any]


@dataclass(eq=False)
class NumpyArray:
    """A numpy array; `array` is None until its state is read, and where it holds no numbers."""

    array: np.ndarray | None = None


@dataclass(eq=False)
class NumberType:
    """A numpy dtype of a number."""

    dtype: np.dtype


class TorchNames:
    """Finds, makes and fills what the pickle of one file asks for.

    Attributes:
        opaque: the dotted names that stand for nothing, in the order of the file.
    """

    def __init__(self, source: str) -> None:
        """Take the words that messages begin with."""
        self.source = source
        self.opaque: dict[str, None] = {}
        self._layers = {**_layers(), **FORMER_NAMES}

    def find(self, name: str) -> Any:
        """Return what stands for a dotted name.

        Raises:
            NetworkError: it names what runs code.
        """
        # Protocol 2, which torch writes, has Python 2's names of these modules.
        dotted = re.sub(r"^__builtin__\.", "builtins.", name)
        dotted = re.sub(r"^copy_reg\.", "copyreg.", dotted)
        if dotted.startswith(BACKEND):
            self._layers |= {_dotted(cls): cls for cls in _backend_classes()}
        if dotted in self._layers:
            return self._layers[dotted]
        if dotted in MAKERS:
            return MAKERS[dotted]
        storage = STORAGE.fullmatch(dotted)
        if storage and storage[1] in STORAGE_TYPES:
            return StorageKind(STORAGE_TYPES[storage[1]])
        if DTYPE.fullmatch(dotted) and hasattr(torch, dotted.removeprefix("torch.")):
            return getattr(torch, dotted.removeprefix("torch."))
        if DENIED.fullmatch(dotted):
            raise NetworkError(
                f"{self.source}: asks for {dotted}, which runs code and is no layer, so nothing was"
                " loaded: save the state dict of the network alone"
            )
        self.opaque[dotted] = None
        return OpaqueName(dotted)

    def make(self, function: Any, arguments: tuple[Any, ...]) -> Any:
        """Return what a call makes; a layer is made empty, its state comes later."""
        if isinstance(function, Maker):
            return function.make(*arguments)
        if isinstance(function, type) and not arguments:
            return object.__new__(function)
        raise ValueError(f"a call of {getattr(function, '__name__', 'no function')!r}")

    def fill(self, target: Any, state: Any) -> None:
        """Give a layer its attributes, or an array its values."""
        if isinstance(target, torch.Tensor):
            return  # a tensor's own attributes mean nothing to a network
        if isinstance(target, NumpyArray | NumberType):
            _fill_numpy(target, state)
            return
        if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
            raise ValueError(f"a {type(target).__name__} whose state is no dict of attributes")
        if isinstance(target, nn.Module):
            # not the classes' own: they may run loops of any length over what the state says
            nn.Module.__setstate__(target, state)
            if isinstance(target, _ConvNd):
                vars(target).setdefault("padding_mode", "zeros")
        else:
            vars(target).update(state)


@cache
def _layers() -> dict[str, type]:
    return {_dotted(cls): cls for cls in _layer_classes()}


def _dotted(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _layer_classes() -> Iterator[type]:
    yield from _modules_in("torch.nn.modules", lambda cls: cls.__module__.startswith("torch.nn."))
    yield from _modules_in("sinabs.layers", lambda cls: cls.__module__.startswith("sinabs."))
    yield from _classes_in("sinabs.activation")
    yield from _modules_in("sinabs.network", lambda cls: cls.__name__ == "Network")
    for module in OWN_LAYERS:
        for cls in _classes_in(module):
            if cls.__module__ == module and not cls.__name__.startswith("_"):
                yield cls


def _backend_classes() -> Iterator[type]:
    from speckflex.samna_access import load_samna

    load_samna()
    for module in BACKEND_MODULES:
        yield from _modules_in(f"{BACKEND}.{module}", lambda _: True)


def _modules_in(name: str, accept: Callable[[type], bool]) -> Iterator[type]:
    """Yield the module classes that a package offers; lazy ones run code when first called."""
    for cls in _classes_in(name):
        if issubclass(cls, nn.Module) and accept(cls) and not cls.__name__.startswith("Lazy"):
            yield cls


def _classes_in(name: str) -> Iterator[type]:
    for _, cls in inspect.getmembers(importlib.import_module(name), inspect.isclass):
        yield cls


def _tensor(storage: Any, offset: int, size: Any, stride: Any, *_: Any) -> Any:
    """Return the tensor that lies in a storage; what names no storage is opaque."""
    if not isinstance(storage, Storage):
        return Opaque("torch.Tensor")
    shape, steps = tuple(size), tuple(stride)
    whole = all(type(number) is int and number >= 0 for number in (offset, *shape, *steps))
    if not whole or len(shape) != len(steps):
        raise ValueError("a tensor with a shape that is none")
    last = offset + sum((n - 1) * step for n, step in zip(shape, steps, strict=True))
    if 0 not in shape and last >= storage.values.numel():
        raise ValueError(f"a tensor of shape {shape} beyond its storage")
    return storage.values.as_strided(shape, steps, offset if 0 not in shape else 0)


def _tensor_of_type(  # noqa: PLR0913, PLR0917 - torch's own order
    storage: Any,
    offset: int,
    size: Any,
    stride: Any,
    gradient: Any,
    hooks: Any,
    dtype: Any,
    *_: Any,
) -> Any:
    """Return a tensor in a storage of bytes."""
    if not isinstance(storage, Storage) or not isinstance(dtype, torch.dtype):
        return Opaque("torch.Tensor")
    return _tensor(Storage(storage.values.view(dtype)), offset, size, stride)


def _parameter(data: Any, requires_grad: Any = 1, *_: Any) -> Any:
    if not isinstance(data, torch.Tensor):
        return Opaque("torch.nn.parameter.Parameter")
    floating = data.is_floating_point() or data.is_complex()
    return nn.Parameter(data, requires_grad=bool(requires_grad) and floating)


def _of_type(function: Any, kind: Any, arguments: Any, *_: Any) -> Any:
    """Return a tensor with attributes of its own, without them."""
    if kind.__class__ is Maker and kind.dotted in PLAIN_TENSORS and isinstance(function, Maker):
        return function.make(*arguments)
    return Opaque(getattr(kind, "dotted", "torch.Tensor"))


def _new_object(cls: Any, *_: Any) -> Any:
    """Return what the pickles of protocols 0 and 1 make by copyreg."""
    if isinstance(cls, OpaqueName):
        return Opaque(cls.dotted)
    if isinstance(cls, type) and issubclass(cls, nn.Module):
        return object.__new__(cls)
    raise ValueError("an object of a class that is no layer")


def _encoded(text: str, encoding: str = "", *_: Any) -> bytes:
    """Return the bytes that protocol 2 writes as a text."""
    if encoding != "latin1":
        raise ValueError("a text in another encoding than latin1")
    return text.encode("latin1")


def _bytearray(content: Any = b"", *_: Any) -> bytearray:
    if not isinstance(content, bytes):
        raise ValueError("a bytearray that is not made of bytes")  # noqa: TRY004
    return bytearray(content)


def _ordered(items: Any = (), *_: Any) -> OrderedDict[Any, Any]:
    pairs = [(key, value) for key, value in (items.items() if isinstance(items, dict) else items)]
    _check_keys([key for key, _ in pairs])
    return OrderedDict(pairs)


def _set(items: Any = (), *_: Any) -> set[Any]:
    _check_keys(items)
    return set(items)


def _check_keys(items: Any) -> None:
    """Check the keys of a set or dict that is made by one call; torch makes them one by one.

    Raises:
        ValueError: they may take long to be found.
    """
    unusual = [hashable(item) for item in items if not is_usual_key(item)]
    if len(unusual) > MOST_UNUSUAL_ITEMS:
        raise ValueError(f"a call with more than {MOST_UNUSUAL_ITEMS} keys that are no texts")


def _array_of(content: Any, kind: Any, shape: Any = (), order: Any = "C", *_: Any) -> NumpyArray:
    """Return the array that protocol 5 writes as its bytes."""
    if not isinstance(kind, NumberType) or not isinstance(content, bytes | bytearray):
        return NumpyArray()
    return NumpyArray(np.frombuffer(content, kind.dtype).reshape(tuple(shape), order=order))


def _number_type(name: Any = "", *_: Any) -> Any:
    if not isinstance(name, str) or not NUMBER_TYPE.fullmatch(name):
        return Opaque("numpy.dtype")
    return NumberType(np.dtype(name))


def _number(kind: Any, content: Any = b"", *_: Any) -> Any:
    """Return a numpy number as Python has it."""
    if not isinstance(kind, NumberType) or not isinstance(content, bytes):
        return Opaque("numpy.generic")
    return np.frombuffer(content, kind.dtype, count=1)[0].item()


def _fill_numpy(target: NumpyArray | NumberType, state: Any) -> None:
    if isinstance(target, NumberType):
        target.dtype = target.dtype.newbyteorder("<" if state[1] == "|" else state[1])
        return
    _, shape, kind, fortran, content = state
    if isinstance(kind, NumberType) and isinstance(content, bytes):
        order = "F" if fortran else "C"
        target.array = np.frombuffer(content, kind.dtype).reshape(tuple(shape), order=order)


def _makers() -> dict[str, Maker]:
    by_name: dict[str, Callable[..., Any]] = {
        "torch._utils._rebuild_tensor": _tensor,
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_tensor_v3": _tensor_of_type,
        "torch._utils._rebuild_parameter": _parameter,
        "torch._utils._rebuild_parameter_with_state": _parameter,
        "torch._tensor._rebuild_from_type_v2": _of_type,
        "torch.nn.parameter.Parameter": _parameter,
        "torch.Tensor": lambda *_: Opaque("torch.Tensor"),
        "torch.Size": lambda sizes=(), *_: torch.Size(sizes),
        "torch.device": torch.device,
        "torch.serialization._get_layout": lambda *_: torch.strided,
        "copyreg._reconstructor": _new_object,
        "_codecs.encode": _encoded,
        "builtins.bytearray": _bytearray,
        "builtins.complex": complex,
        "builtins.set": _set,
        "builtins.frozenset": lambda items=(), *_: frozenset(_set(items)),
        # no range itself: what takes its numbers one by one would never end
        "builtins.slice": lambda *_: Opaque("builtins.slice"),
        "builtins.range": lambda *_: Opaque("builtins.range"),
        "builtins.xrange": lambda *_: Opaque("builtins.range"),  # Python 2's name, in protocol 2
        "collections.OrderedDict": _ordered,
        "collections.Counter": _ordered,
        "collections.defaultdict": lambda _=None, items=(): _ordered(items),
        "collections.deque": lambda items=(), *_: list(items),
        "numpy.ndarray": lambda *_: NumpyArray(),
        "numpy._core.numeric._frombuffer": _array_of,
        "numpy.core.numeric._frombuffer": _array_of,
        "numpy.dtype": _number_type,
        "numpy.core.multiarray.scalar": _number,
        "numpy._core.multiarray.scalar": _number,
        "numpy.core.multiarray._reconstruct": lambda *_: NumpyArray(),
        "numpy._core.multiarray._reconstruct": lambda *_: NumpyArray(),
    }
    return {dotted: Maker(dotted, make) for dotted, make in by_name.items()}


PLAIN_TENSORS = ("torch.Tensor", "torch.nn.parameter.Parameter")
MAKERS = _makers()
