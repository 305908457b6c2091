"""State dicts: the network that they belong to, and a check that every tensor fits."""

from __future__ import annotations

import contextlib
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sinabs.layers as sl
import torch
from torch import nn

from speckflex._support.text import first_line
from speckflex.errors import NetworkError
from speckflex.networks._intact import check_tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["find_state_dict", "load_state", "network_from_factory"]

# Where training scripts keep the state dict inside a checkpoint.
WRAPPERS = ("state_dict", "model_state_dict", "model", "network")
PARALLEL_PREFIX = "module."


def find_state_dict(content: Any, source: str) -> dict[str, torch.Tensor]:
    """Return the state dict that a file holds, by itself or inside a checkpoint.

    Raises:
        NetworkError: there is none.
    """
    if isinstance(content, dict):
        for candidate in (content, *(content[key] for key in WRAPPERS if key in content)):
            if _is_state_dict(candidate):
                for key, tensor in candidate.items():
                    check_tensor(tensor, f"{source}: {key}")
                return candidate
    raise NetworkError(
        f"{source}: holds a {type(content).__name__}, neither a module nor a dict of tensors:"
        " save the network or its state_dict()"
    )


def _is_state_dict(candidate: Any) -> bool:
    return (
        isinstance(candidate, dict)
        and bool(candidate)
        and all(
            isinstance(key, str) and isinstance(value, torch.Tensor)
            for key, value in candidate.items()
        )
    )


def network_from_factory(factory: str) -> nn.Module:
    """Return the network that a built-in name or `package.module:factory` makes.

    Modules are looked for in the working directory too, as `python -m` does.

    Raises:
        NetworkError: no such name, module or attribute, or the factory failed or made no module.
    """
    make = _find_factory(factory)
    try:
        network = make()
    except Exception as error:  # a user's code can raise anything
        raise NetworkError(
            f"factory {factory} failed ({type(error).__name__}: {first_line(error)}):"
            " it must work without arguments"
        ) from error
    if not isinstance(network, nn.Module):
        raise NetworkError(
            f"factory {factory} returned a {type(network).__name__}: it must return a torch module"
        )
    return network


def _find_factory(factory: str) -> Callable[[], Any]:
    from speckflex.networks.paper import NETWORKS

    if factory in NETWORKS:
        return NETWORKS[factory]
    module_name, colon, attribute = factory.partition(":")
    if not (colon and module_name and attribute):
        raise NetworkError(
            f"network {factory!r} is not known: give package.module:factory or one of"
            f" {', '.join(sorted(NETWORKS))}"
        )
    try:
        with _working_directory_importable():
            make = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:  # importing a user's module can raise anything
        raise NetworkError(
            f"network factory {factory} can't be imported ({type(error).__name__}:"
            f" {first_line(error)}): check the module and the name after the colon"
        ) from error
    if not callable(make):
        raise NetworkError(
            f"network factory {factory} is a {type(make).__name__}: name a function or a class"
        )
    return make


@contextlib.contextmanager
def _working_directory_importable() -> Iterator[None]:
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        importlib.invalidate_caches()
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(folder)


def load_state(network: nn.Module, state: Mapping[str, torch.Tensor], source: str) -> None:
    """Copy a state dict into `network`, states of neurons left out.

    Raises:
        NetworkError: a key is missing, unexpected or has another shape than the network's.
    """
    if all(key.startswith(PARALLEL_PREFIX) for key in state):
        state = {key.removeprefix(PARALLEL_PREFIX): value for key, value in state.items()}
    volatile = _neuron_states(network)
    given = {key: value for key, value in state.items() if key not in volatile}
    needed = {key: value for key, value in network.state_dict().items() if key not in volatile}
    faults = _faults(given, needed)
    if faults:
        more = f" ({len(faults) - 1} more keys differ)" if len(faults) > 1 else ""
        raise NetworkError(
            f"{source}: {faults[0]}{more}: name the factory that the file was made with"
        )
    network.load_state_dict(given, strict=False)


def _neuron_states(network: nn.Module) -> set[str]:
    """Return the keys of membrane potentials, which are no part of a trained network."""
    return {
        f"{name}.{key}".lstrip(".")
        for name, module in network.named_modules()
        if isinstance(module, sl.StatefulLayer)
        for key, _ in module.named_buffers(recurse=False)
    }


def _faults(given: Mapping[str, torch.Tensor], needed: Mapping[str, torch.Tensor]) -> list[str]:
    shapes = [
        f"{key} has shape {tuple(given[key].shape)}, the network needs {tuple(value.shape)}"
        for key, value in needed.items()
        if key in given and given[key].shape != value.shape
    ]
    missing = [
        f"{key} of shape {tuple(value.shape)} is missing"
        for key, value in needed.items()
        if key not in given
    ]
    unexpected = [
        f"{key} of shape {tuple(value.shape)} is unknown to the network"
        for key, value in given.items()
        if key not in needed
    ]
    return shapes + missing + unexpected
