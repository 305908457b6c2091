"""Network files: read by their kind, and written whole."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from speckflex._support.files import suffix_problem, write_whole
from speckflex.errors import NetworkError
from speckflex.networks._attributes import check_all_attributes
from speckflex.networks._checkpoint import checked_state, find_network, opaque_part, shape_beside
from speckflex.networks._intact import check_intact
from speckflex.networks._safetensors import read_safetensors
from speckflex.networks._state_dict import load_state
from speckflex.networks.copying import copy_network, forget_states
from speckflex.networks.factories import network_from_factory
from speckflex.networks.file_kinds import (
    LEGACY,
    NIR,
    ONNX,
    PICKLE,
    SAFETENSORS,
    TORCH,
    FileKind,
    kind_of_file,
    refusal_of,
)
from speckflex.networks.layer_kinds import check_layers
from speckflex.networks.nir.options import NirOptions
from speckflex.networks.spiking import spiking_network
from speckflex.networks.time_stepped import is_time_stepped
from speckflex.networks.torch_file import read_torch_file, torch_file_of

if TYPE_CHECKING:
    from speckflex.networks._checkpoint import Found
    from speckflex.program.records import Shape

__all__ = [
    "check_saved_whole",
    "load_network",
    "load_time_stepped",
    "save_network",
    "stated_input_shape",
]

log = logging.getLogger(__name__)


def load_network(
    path: str | Path,
    *,
    factory: str | None = None,
    key: str | None = None,
    input_shape: Shape | None = None,
    nir: NirOptions | None = None,
) -> nn.Module:
    """Return the spiking network in a model file; nothing in the file is executed.

    Args:
        path: a NIR or ONNX graph; a whole module of torch.nn, sinabs and speckflex layers as
            `torch.save` writes it, a state dict, or a checkpoint that holds one of them; or
            a safetensors file.
        factory: makes the network that a state dict belongs to: a built-in name or
            `package.module:factory`, followed by its arguments, such as
            `"mymod:make bias=False width=16"`.
        key: where in a checkpoint the network is, such as "ema"; needed if it has several.
        input_shape: (channel, y, x); a ReLU network is run once on it if it is given. An ONNX
            graph needs it if it leaves the size of its input open.
        nir: what a NIR graph leaves open, such as its time step.

    Raises:
        NetworkError: the file is missing, asks for code, does not fit its factory, or holds a
            network that Speck has no neurons for.
        FileFormatError: the file is damaged or of another kind.
    """
    path = Path(path)
    kind = kind_of_file(path)
    if kind is NIR:
        from speckflex.networks.nir._network import load_nir

        _refuse_choices(path, factory, key)
        network = load_nir(path, nir)
    elif kind is ONNX:
        from speckflex.networks._onnx import load_onnx

        _refuse_choices(path, factory, key)
        _refuse_nir_options(path, nir)
        network = load_onnx(path, input_shape).network
    else:
        _refuse_nir_options(path, nir)
        network = _read_network(path, kind, factory, key)
    if kind in {NIR, ONNX}:
        check_all_attributes(network, str(path))
    check_layers(network, str(path))
    spiking = spiking_network(network, input_shape=input_shape)
    forget_states(spiking)
    return spiking


def load_time_stepped(
    path: str | Path, *, factory: str | None = None, key: str | None = None
) -> nn.Module | None:
    """Return the network in a torch file if it runs in time steps in torch only, else None.

    `load_network` refuses such a network, because it is the way to the chip.

    Args:
        path: as for `load_network`.
        factory: see there.
        key: see there.

    Raises:
        NetworkError: the file asks for code, or does not fit its factory.
        FileFormatError: the file is damaged.
    """
    path = Path(path)
    kind = kind_of_file(path)
    if kind not in {TORCH, LEGACY, PICKLE, SAFETENSORS}:
        return None
    network = _read_network(path, kind, factory, key)
    if not is_time_stepped(network):
        return None
    forget_states(network)
    return network


def _read_network(path: Path, kind: FileKind, factory: str | None, key: str | None) -> nn.Module:
    """Return the network as the file, or the file and its factory, describe it."""
    if kind in {TORCH, LEGACY, PICKLE}:
        content: Any = read_torch_file(path).value
    elif kind is SAFETENSORS:
        content = read_safetensors(path)
    else:
        raise refusal_of(path, kind)
    found = find_network(content, str(path), key)
    source = f"{path}: {found.key}" if found.key else str(path)
    if isinstance(found.value, dict):
        return _network_of_state(source, found, factory)
    return _network_of_module(source, found, factory)


def _network_of_module(source: str, found: Found, factory: str | None) -> nn.Module:
    if factory is not None:
        return _network_of_state(source, found, factory)
    foreign = opaque_part(found.value)
    if foreign:
        raise NetworkError(
            f"{source}: asks for {foreign}, which is no layer of torch.nn, sinabs or speckflex:"
            " save its state dict, or name the factory of its network (--network), so that only"
            " the weights are read"
        )
    check_intact(found.value, source)
    return _in_single_precision(found.value, source)


def _network_of_state(source: str, found: Found, factory: str | None) -> nn.Module:
    state = checked_state(found.value, source)
    if factory is None:
        raise NetworkError(
            f"{source}: holds a state dict of {len(state)} tensors and no network: name its factory"
            " (--network) as package.module:factory or one of the built-in networks"
        )
    network = network_from_factory(factory)
    load_state(network, state, source)
    return network


def _in_single_precision(network: nn.Module, source: str) -> nn.Module:
    """Return the network with its floating numbers as float32, in which all else is computed."""
    types = {
        value.dtype
        for tensors in (network.parameters(), network.buffers())
        for value in tensors
        if value.is_floating_point() and value.dtype != torch.float32
    }
    if types:
        names = ", ".join(sorted(str(kind).removeprefix("torch.") for kind in types))
        log.warning("%s: its %s numbers are taken as float32", source, names)
        network.float()
    return network


def _refuse_choices(path: Path, factory: str | None, key: str | None) -> None:
    for option, value in (("factory", factory), ("key", key)):
        if value is not None:
            raise NetworkError(
                f"{path}: holds a graph, which needs no {option}, but {value} was given: leave it"
                " out"
            )


def _refuse_nir_options(path: Path, nir: NirOptions | None) -> None:
    if nir is not None and nir != NirOptions():
        raise NetworkError(
            f"{path}: is no NIR graph, so that --dt and --lower-bound have no meaning: leave them"
            " out"
        )


def stated_input_shape(path: str | Path) -> Shape | None:
    """Return the (channel, y, x) that a model file states for its input; None where it does not.

    Of the files that `load_network` takes, a NIR or ONNX graph states it, and a checkpoint that
    has an `input_shape` beside its network.

    Raises:
        SpeckflexError: the file is missing or damaged.
    """
    path = Path(path)
    kind = kind_of_file(path)
    if kind is NIR:
        from speckflex.networks.nir._network import nir_input_shape

        return nir_input_shape(path)
    if kind is ONNX:
        from speckflex.networks._onnx import onnx_input_shape

        return onnx_input_shape(path)
    if kind in {TORCH, LEGACY}:
        return shape_beside(read_torch_file(path, values=False).value)
    return None


def save_network(network: nn.Module, path: str | Path) -> None:
    """Write the whole module to `path`, states reset; `load_network` reads it back.

    Raises:
        NetworkError: the network holds what `load_network` would refuse, or `path` can't be
            written or has the suffix of another format.
    """
    path = Path(path)
    problem = suffix_problem(path, ".pt")
    if problem:
        raise NetworkError(problem)
    stripped = copy_network(network)
    forget_states(stripped)
    check_intact(stripped, f"{path} (not written)")
    write_whole(path, torch_file_of(stripped), NetworkError)


def check_saved_whole(network: nn.Module) -> None:
    """Check that `save_network` would take a network, such as before it is trained.

    Raises:
        NetworkError: it holds what `load_network` would refuse.
    """
    stripped = copy_network(network)
    forget_states(stripped)
    check_intact(stripped, f"network {type(network).__name__}")
    torch_file_of(stripped)
