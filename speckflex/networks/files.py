"""Network files: read by their kind, and written whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from speckflex._support.files import suffix_problem, write_whole
from speckflex.errors import FileFormatError, NetworkError
from speckflex.networks._intact import check_intact
from speckflex.networks._pickle import load_pickle, pickle_module
from speckflex.networks._spiking import spiking_network
from speckflex.networks._state_dict import find_state_dict, load_state, network_from_factory
from speckflex.networks.copying import copy_network, forget_states
from speckflex.networks.layer_kinds import check_layers
from speckflex.networks.nir._hdf5 import is_nir
from speckflex.networks.nir._network import load_nir, nir_input_shape
from speckflex.networks.nir.options import NirOptions

if TYPE_CHECKING:
    from speckflex.program.records import Shape

__all__ = ["load_network", "save_network", "stated_input_shape"]


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
    network = _read_network(path, factory, nir)
    check_layers(network, str(path))
    spiking = spiking_network(network, input_shape=input_shape)
    forget_states(spiking)
    return spiking


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise NetworkError(f"{path}: is a folder: name the model file in it")
    if not path.exists():
        raise NetworkError(f"{path}: no such file: check the path")
    if path.suffix.lower() == ".speck":
        raise FileFormatError(f"{path}: is a Program already: load it with Program.load")


def _read_network(path: Path, factory: str | None, nir: NirOptions | None) -> nn.Module:
    """Return the network as the file, or the file and its factory, describe it."""
    if path.suffix.lower() == ".nir" or is_nir(path):
        _refuse_factory(path, factory, "a NIR graph")
        return load_nir(path, nir)
    _refuse_nir_options(path, nir)
    content = load_pickle(path)
    if isinstance(content, nn.Module):
        _refuse_factory(path, factory, "a whole module")
        check_intact(content, str(path))
        return content
    state = find_state_dict(content, str(path))
    if factory is None:
        raise NetworkError(
            f"{path}: holds a state dict of {len(state)} tensors and no network: name its factory"
            " (--network) as package.module:factory or one of the built-in networks"
        )
    network = network_from_factory(factory)
    load_state(network, state, str(path))
    return network


def _refuse_factory(path: Path, factory: str | None, kind: str) -> None:
    if factory is not None:
        raise NetworkError(
            f"{path}: holds {kind}, which needs no factory, but {factory} was given: leave it out"
        )


def _refuse_nir_options(path: Path, nir: NirOptions | None) -> None:
    if nir is not None and nir != NirOptions():
        raise NetworkError(
            f"{path}: is no NIR graph, so that --dt and --lower-bound have no meaning: leave them"
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
    forget_states(stripped)
    check_intact(stripped, f"{path} (not written)")
    write_whole(path, pickle_module(stripped), NetworkError)
