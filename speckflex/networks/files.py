"""Model files to spiking torch networks, and back."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sinabs.layers as sl
import torch
from sinabs.from_torch import from_model
from sinabs.network import Network
from torch import nn

from speckflex._support.files import suffix_problem, write_whole
from speckflex._support.text import first_line
from speckflex.errors import FileFormatError, NetworkError
from speckflex.networks.graph import LayerGraph
from speckflex.networks.network_checks import check_intact, check_layers, missing_values, name_of
from speckflex.networks.nir.hdf5 import is_nir
from speckflex.networks.nir.network import load_nir, nir_input_shape
from speckflex.networks.nir.options import NirOptions
from speckflex.networks.pickle import load_pickle, pickle_module
from speckflex.networks.state_dict import find_state_dict, load_state, network_from_factory

if TYPE_CHECKING:
    from speckflex.program.records import Shape

__all__ = [
    "copy_network",
    "load_network",
    "save_network",
    "spiking_network",
    "stated_input_shape",
    "wants_time_axis",
]

log = logging.getLogger(__name__)


def load_network(
    path: str | Path,
    *,
    factory: str | None = None,
    input_shape: Shape | None = None,
    nir: NirOptions | None = None,
) -> nn.Module:
    """Return the spiking network in a model file; nothing in the file is executed.

    Args:
        path: a `.nir` graph, a whole module of torch.nn, sinabs and speckflex layers as
            `torch.save` writes it, or a state dict.
        factory: makes the network that a state dict belongs to: a built-in name or
            `package.module:factory`.
        input_shape: (channel, y, x); a ReLU network is run once on it if it is given.
        nir: what a NIR graph leaves open, such as its time step.

    Raises:
        NetworkError: the file is missing, asks for code, does not fit its factory, or holds a
            network that Speck has no neurons for.
        FileFormatError: the file is damaged or of another kind.
    """
    path = Path(path)
    _check_file(path)
    source = str(path)
    if path.suffix.lower() == ".nir" or is_nir(path):
        _refuse_factory(source, factory, "a NIR graph")
        network = load_nir(path, nir)
    else:
        _refuse_nir_options(source, nir)
        network = _load_torch(path, factory)
    check_layers(network, source)
    spiking = spiking_network(network, input_shape=input_shape)
    check_layers(spiking, source)
    _forget_states_of(spiking)
    return spiking


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise NetworkError(f"{path}: is a folder: name the model file in it")
    if not path.exists():
        raise NetworkError(f"{path}: no such file: check the path")
    if path.suffix.lower() == ".speck":
        raise FileFormatError(f"{path}: is a Program already: load it with Program.load")


def _load_torch(path: Path, factory: str | None) -> nn.Module:
    source = str(path)
    content = load_pickle(path)
    if isinstance(content, nn.Module):
        _refuse_factory(source, factory, "a whole module")
        check_intact(content, source)
        return content
    state = find_state_dict(content, source)
    if factory is None:
        raise NetworkError(
            f"{path}: holds a state dict of {len(state)} tensors and no network: name its factory"
            " (--network) as package.module:factory or one of the built-in networks"
        )
    network = network_from_factory(factory)
    load_state(network, state, source)
    return network


def _refuse_factory(source: str, factory: str | None, kind: str) -> None:
    if factory is not None:
        raise NetworkError(
            f"{source}: holds {kind}, which needs no factory, but {factory} was given: leave it out"
        )


def _refuse_nir_options(source: str, nir: NirOptions | None) -> None:
    if nir is not None and nir != NirOptions():
        raise NetworkError(
            f"{source}: is no NIR graph, so that --dt and --lower-bound have no meaning: leave them"
            " out"
        )


def stated_input_shape(path: str | Path) -> Shape | None:
    """Return the (channel, y, x) that a model file states for its input; None where it does not.

    Of the files that `load_network` takes, a NIR graph states it.

    Raises:
        SpeckflexError: the file is missing or damaged.
    """
    path = Path(path)
    _check_file(path)
    return nir_input_shape(path) if is_nir(path) else None


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
    _forget_states_of(stripped)
    check_intact(stripped, f"{path} (not written)")
    write_whole(path, pickle_module(stripped), NetworkError)


def _forget_states_of(network: nn.Module) -> None:
    """Take from the neurons what they remember of their last run, its gradients included."""
    for module in network.modules():
        if isinstance(module, sl.StatefulLayer):
            for name, buffer in list(module.named_buffers(recurse=False)):
                module.register_buffer(name, torch.zeros(0, dtype=buffer.dtype))


def copy_network(network: nn.Module) -> nn.Module:
    """Return a copy that shares nothing, each module in the mode it was in.

    sinabs' neurons forget their mode when they are copied.

    Raises:
        NetworkError: it has no values, or keeps what can't be copied.
    """
    problem = missing_values(network)
    if problem:
        raise NetworkError(problem)
    try:
        twin = copy.deepcopy(network)
    except RuntimeError as error:
        raise NetworkError(
            f"network {type(network).__name__} can't be copied ({first_line(error)}):"
            " detach what it keeps from its last run"
        ) from error
    for name, module in network.named_modules():
        twin.get_submodule(name).training = module.training
    return twin


def wants_time_axis(network: nn.Module) -> bool:
    """Return whether a network takes (batch, time, c, y, x) instead of (batch * time, c, y, x).

    It does where it flattens time itself, or has neurons that expect time as an axis.
    """
    return any(
        isinstance(module, sl.FlattenTime | sl.Repeat)
        or (isinstance(module, sl.StatefulLayer) and not isinstance(module, sl.SqueezeMixin))
        for module in network.modules()
    )


def spiking_network(network: nn.Module, *, input_shape: Shape | None = None) -> nn.Module:
    """Return a network that spikes: itself, sinabs' spiking part of it, or made from its ReLUs.

    A network with ReLUs and no spiking layer is converted by sinabs: every ReLU becomes an
    integrate-and-fire layer of threshold 1 and lower bound -1 under the same name.

    Args:
        network: stays as it is.
        input_shape: (channel, y, x) to run a converted network on once; None to skip that.

    Raises:
        NetworkError: a ReLU is used at two places, or the network does not take `input_shape`.
    """
    if isinstance(network, Network):
        if network.spiking_model is None:
            raise NetworkError(
                "a sinabs Network without spiking_model can't be used: save its analog_model"
            )
        return spiking_network(network.spiking_model, input_shape=input_shape)
    relus = [
        name
        for name, module in network.named_modules(remove_duplicate=False)
        if type(module) in (nn.ReLU, sl.NeuromorphicReLU)
    ]
    if not relus or any(isinstance(module, sl.StatefulLayer) for module in network.modules()):
        return network
    _check_not_shared(network, relus)
    log.info("%d ReLU layers become integrate-and-fire: %s", len(relus), ", ".join(relus))
    return _converted(network, input_shape)


def _check_not_shared(network: nn.Module, relus: list[str]) -> None:
    names: dict[int, str] = {}
    for name in relus:
        first = names.setdefault(id(network.get_submodule(name)), name)
        if first != name:
            raise NetworkError(
                f"ReLU {name_of(name)} is the same module as {first}: neurons keep a state, so"
                " each place needs a ReLU of its own"
            )
    graph = _traced(network)
    for name in relus:
        if graph is not None and graph.n_calls(name) > 1:
            raise NetworkError(
                f"ReLU {name_of(name)} is used at {graph.n_calls(name)} places of the forward"
                " pass: neurons keep a state, so each place needs a ReLU of its own"
            )


def _traced(network: nn.Module) -> LayerGraph | None:
    try:
        return LayerGraph(network)
    except NetworkError as error:
        log.info("whether a ReLU is used twice is not known: %s", error)
        return None


def _converted(network: nn.Module, input_shape: Shape | None) -> nn.Module:
    shape: Any = None if input_shape is None else tuple(input_shape)
    original = copy_network(network)
    try:
        converted = from_model(original, shape, batch_size=1, synops=False).spiking_model
    except (RuntimeError, ValueError, TypeError) as error:
        raise NetworkError(
            f"the ReLU network does not run on input {shape} (channel, y, x)"
            f" ({first_line(error)}): check the input shape"
        ) from error
    for module in converted.modules():
        if isinstance(module, sl.IAFSqueeze) and module.spike_threshold is not None:
            # sinabs gives all layers one tensor, its own default argument.
            module.spike_threshold.data = module.spike_threshold.data.clone()
            module.reset_states()
    for name, module in network.named_modules():
        converted.get_submodule(name).training = module.training
    return converted
