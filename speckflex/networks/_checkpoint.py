"""The network inside a file: a module or a state dict, by itself or inside a checkpoint."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from speckflex.errors import NetworkError
from speckflex.networks._intact import check_tensor
from speckflex.networks._pickle_machine import Opaque, OpaqueName
from speckflex.networks._torch_names import NumpyArray

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from speckflex.program.records import Shape

__all__ = ["Found", "checked_state", "find_network", "opaque_part", "shape_beside"]

# Parts of a checkpoint that hold tensors and no network.
OTHER_PARTS = re.compile(
    r"optim|sched|scaler|callback|loop|hparam|hyper_|criterion|loss|metric|rng|histor|\bargs\b"
    r"|config|cfg",
    re.IGNORECASE,
)
DEEPEST = 3
# Far beyond any network, and few enough for one that holds itself.
MOST_MODULES = 10_000
SHAPE_KEYS = ("input_shape", "input_size", "in_shape", "inputshape")


@dataclass(frozen=True, eq=False)
class Found:
    """A network in a file.

    Args:
        key: where it is in the checkpoint, as names with dots; "" for the whole file.
        value: a module; or a state dict; or an object of a user's own class, or a module that
            holds one, as `Opaque` or module.
    """

    key: str
    value: Any


def find_network(content: Any, source: str, key: str | None = None) -> Found:
    """Return the network that a file holds.

    Args:
        content: of the file.
        source: what messages begin with, such as the file's path.
        key: where in the checkpoint it is; needed where there are several.

    Raises:
        NetworkError: there is none, or several, or none under `key`.
    """
    found = _distinct(list(_candidates(content, set())))
    names = ", ".join(item.key for item in found if item.key)
    if key is not None:
        for item in found:
            if item.key == key:
                return item
        raise NetworkError(
            f"{source}: has no network under the key {key!r}: "
            + (f"choose among {names}" if names else "leave --key out")
        )
    if len(found) > 1:
        raise NetworkError(
            f"{source}: is a checkpoint with {len(found)} sets of weights, {names}: choose one"
            f" with --key, such as --key {found[0].key}"
        )
    if not found:
        raise NetworkError(
            f"{source}: holds {_named(content)}, neither a module nor a dict of tensors:"
            " save the network or its state_dict()"
        )
    return found[0]


def _named(content: Any) -> str:
    if isinstance(content, Opaque | OpaqueName):
        return f"an object of {content.dotted}"
    kind = f"a {type(content).__name__}"
    if isinstance(content, dict) and content:
        keys = [str(key) for key in content][:5]
        return f"{kind} of {', '.join(key if key.isprintable() else ascii(key) for key in keys)}"
    return kind


def _candidates(content: Any, seen: set[int], key: str = "", depth: int = 0) -> Iterator[Found]:
    """Yield all networks in a checkpoint, in the file's order, each part of it once."""
    if isinstance(content, nn.Module) or _is_module(content):
        yield Found(key, content)
        return
    if not isinstance(content, dict) or depth > DEEPEST or id(content) in seen:
        return
    seen.add(id(content))
    tensors = _tensors(content)
    if tensors and len(tensors) == len(content):
        yield Found(key, tensors)
        return
    inner = [
        found
        for name, value in content.items()
        if isinstance(name, str) and not OTHER_PARTS.search(name)
        for found in _candidates(value, seen, f"{key}.{name}".lstrip("."), depth + 1)
    ]
    if not inner and any(tensor.dim() > 1 for tensor in tensors.values()):
        inner = [Found(key, tensors)]  # weights beside other entries in one dict
    yield from inner


def _tensors(content: dict[Any, Any]) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for name, value in content.items():
        if isinstance(name, str) and isinstance(value, torch.Tensor):
            found[name] = value
        elif isinstance(name, str) and isinstance(value, NumpyArray) and value.array is not None:
            found[name] = _tensor_of(value.array)
    return found


def _tensor_of(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))


def _is_module(content: Any) -> bool:
    """Return whether an object of an unknown class has what each module has."""
    if not isinstance(content, Opaque) or not isinstance(content.state, dict):
        return False
    return {"_parameters", "_buffers", "_modules"} <= content.state.keys()


def _distinct(found: list[Found]) -> list[Found]:
    """Return the networks without those whose weights an earlier one has too."""
    kept: list[tuple[Found, dict[str, torch.Tensor]]] = []
    for item in found:
        state = _state_of(item.value)
        if not any(_same(state, other) for _, other in kept):
            kept.append((item, state))
    return [item for item, _ in kept]


def _same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        a.shape == b.shape and a.dtype == b.dtype and (a.is_meta or torch.equal(a, b))
        for a, b in zip(one.values(), (other[key] for key in one), strict=True)
    )


def _state_of(value: Any) -> dict[str, torch.Tensor]:
    """Return the state dict of a network as found, also of a user's own class."""
    if isinstance(value, dict):
        return value
    state: dict[str, torch.Tensor] = {}
    todo = [("", value)]
    for _ in range(MOST_MODULES):
        if not todo:
            break
        outer, module = todo.pop(0)
        attributes = module.state if isinstance(module, Opaque) else getattr(module, "__dict__", {})
        if not isinstance(attributes, dict):
            continue
        temporary = attributes.get("_non_persistent_buffers_set")
        for registry in ("_parameters", "_buffers"):
            for name, tensor in _dict(attributes.get(registry)).items():
                kept = not isinstance(temporary, set) or name not in temporary
                if isinstance(tensor, torch.Tensor) and kept:
                    state[f"{outer}{name}"] = tensor
        todo += [(f"{outer}{n}.", child) for n, child in _dict(attributes.get("_modules")).items()]
    return state


def _dict(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def checked_state(value: Any, source: str) -> dict[str, torch.Tensor]:
    """Return the state dict of a network as found, each tensor plain.

    Raises:
        NetworkError: a tensor is sparse, quantised, without values, or repeats its memory.
    """
    state = _state_of(value)
    for key, tensor in state.items():
        check_tensor(tensor, f"{source}: {key}")
    return state


def shape_beside(content: Any) -> Shape | None:
    """Return the (channel, y, x) that a checkpoint states beside its network, if it does."""
    for name in SHAPE_KEYS:
        value = content.get(name) if isinstance(content, dict) else None
        if isinstance(value, list | tuple) and len(value) == 3:
            channels, height, width = value
            if all(type(size) is int and size > 0 for size in (channels, height, width)):
                return channels, height, width
    return None


# What a network may keep that means nothing to it is in containers, whose own code reads modules
# alone.
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def opaque_part(network: Any) -> str:
    """Return the dotted name of something in a network that is no layer; "" where there is none.

    Numpy arrays become arrays, and what a container such as `nn.Sequential` keeps besides its
    layers is removed; changes the network.
    """
    if isinstance(network, Opaque):
        return network.dotted
    seen: set[int] = set()
    todo = [network]
    while todo:
        module = todo.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        if isinstance(module, Opaque):
            return module.dotted
        for key, value in list(vars(module).items()):
            if key == "_modules":
                todo += value.values() if isinstance(value, dict) else ()
            elif isinstance(value, NumpyArray) and value.array is not None:
                vars(module)[key] = value.array
            elif name := _opaque_in(value):
                if key.startswith("_") or not isinstance(module, CONTAINERS):
                    return name
                del vars(module)[key]
        todo = [item for item in todo if isinstance(item, nn.Module | Opaque)]
    return ""


def _opaque_in(value: Any) -> str:
    """Return the name of something opaque in a value, looking into lists, tuples and dicts."""
    seen: set[int] = set()
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, Opaque | OpaqueName):
            return item.dotted
        if isinstance(item, NumpyArray):
            return "numpy.ndarray"
        if isinstance(item, list | tuple | set | frozenset | dict) and id(item) not in seen:
            seen.add(id(item))
            todo += item.values() if isinstance(item, dict) else item
    return ""
