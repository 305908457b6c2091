"""Checks that a network from a file is complete, and runs no code but that of its classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sinabs.layers as sl
import torch
from torch import nn

from speckflex.errors import NetworkError
from speckflex.networks._attributes import check_attributes
from speckflex.networks.layer_kinds import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["check_intact", "check_tensor"]

# Far beyond any network; Python itself gives up at a depth of about a thousand.
DEEPEST = 50
# What torch.compile leaves on a module in memory; torch itself does not save it.
COMPILED_CALL = "_compiled_call_impl"
REGISTRIES = ("_parameters", "_buffers", "_modules")


def check_intact(network: nn.Module, source: str) -> None:
    """Check that an unpickled network is complete, and runs no code but that of its classes.

    An unpickled module takes every attribute from its file. Torch would call a hook, or an
    attribute with the name of a method, in place of the layer's own code.

    Args:
        network: as unpickled.
        source: what messages begin with, such as the file's path.

    Raises:
        NetworkError: a module is incomplete, holds a hook, or an attribute hides a method.
    """
    for name, module in _walk(network, "", source, {}):
        layer = f"{source}: module {name_of(name)} ({type(module).__name__})"
        _check_complete(module, layer)
        for key, value in (*vars(module)["_parameters"].items(), *vars(module)["_buffers"].items()):
            if value is not None:
                check_tensor(value, f"{layer} {key}")
        check_attributes(module, layer)
        for key, value in vars(module).items():
            if (key.endswith("_hooks") or key == COMPILED_CALL) and value:
                raise NetworkError(
                    f"{layer} has {key}, which would run together with the layer or in its place:"
                    " remove it and save the module again"
                )
            if callable(getattr(type(module), key, None)):
                raise NetworkError(
                    f"{layer} hides its own method {key} by an attribute: save it without the"
                    " attribute"
                )


def check_tensor(tensor: torch.Tensor, label: str) -> None:
    """Check that a tensor is plain, and as large in memory as its shape says.

    A file of a few bytes can describe a tensor of any shape over one repeated number.

    Raises:
        NetworkError: it is sparse, quantised, without values, or repeats its memory.
    """
    plain = tensor.layout is torch.strided and not tensor.is_quantized and not tensor.is_meta
    if not plain or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise NetworkError(
            f"{label} of shape {tuple(tensor.shape)} is no plain tensor that stores a value for"
            " each element: save a contiguous copy of it"
        )


def _check_complete(module: nn.Module, layer: str) -> None:
    """Check that a layer has what its class sets when it is made."""
    needed = ("training", *getattr(type(module), "__constants__", ()))
    missing = [key for key in needed if not hasattr(module, key)]
    if not all(isinstance(key, str) for key in vars(module)):
        raise NetworkError(f"{layer} has an attribute without a name: save the module again")
    if isinstance(module, sl.StatefulLayer) and not missing:
        try:
            _ = module.arg_dict
        except AttributeError:
            missing = ["complete set of sinabs' settings"]
        else:
            _check_settings(module, layer)
    if not isinstance(vars(module).get("_non_persistent_buffers_set"), set):
        missing = ["set of its buffers"]
    if missing:
        raise NetworkError(f"{layer} is incomplete, it has no {missing[0]}: save the module again")


def _check_settings(module: sl.StatefulLayer, layer: str) -> None:
    """Check that a threshold and a lower bound are numbers that neurons can reach."""
    for key in ("spike_threshold", "min_v_mem"):
        value: Any = getattr(module, key, None)
        if value is None:
            continue
        number = isinstance(value, torch.Tensor) and value.is_floating_point()
        endless = number and key == "spike_threshold" and bool(torch.isinf(value).any())
        if not number or endless or bool(torch.isnan(value).any()):
            raise NetworkError(
                f"{layer} has a {key} that is no tensor of floating numbers, or not finite: make"
                " the neurons again and load their weights"
            )


def _walk(
    module: nn.Module, name: str, source: str, done: dict[int, bool]
) -> Iterator[tuple[str, nn.Module]]:
    """Yield every module once; torch's own walk fails on incomplete modules.

    `done` says of each module that was met, by its id, whether all inside it was met too.
    """
    if done.get(id(module)):
        return
    if id(module) in done:
        raise NetworkError(
            f"{source}: module {name_of(name)} ({type(module).__name__}) holds itself: save a"
            " network whose layers are in a row"
        )
    done[id(module)] = False
    if name.count(".") >= DEEPEST:
        raise NetworkError(
            f"{source}: module {name[:40]}.. lies more than {DEEPEST} containers deep: save a"
            " flatter network"
        )
    kinds = (torch.Tensor, torch.Tensor, nn.Module)
    for registry, kind in zip(REGISTRIES, kinds, strict=True):
        content = vars(module).get(registry)
        if not isinstance(content, dict) or not all(
            isinstance(key, str) and (value is None or isinstance(value, kind))
            for key, value in content.items()
        ):
            raise NetworkError(
                f"{source}: module {name_of(name)} ({type(module).__name__}) is incomplete, its"
                f" {registry} are missing or wrong: save the module again"
            )
    yield name, module
    for child_name, child in vars(module)["_modules"].items():
        if child is not None:
            yield from _walk(child, f"{name}.{child_name}".lstrip("."), source, done)
    done[id(module)] = True
