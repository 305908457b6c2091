"""NIR graphs, read from their HDF5 files into torch networks."""

from __future__ import annotations

import logging
import warnings
from collections import Counter, OrderedDict
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

import h5py
import nir
import numpy as np
from torch import nn

from speckflex._support.text import first_line
from speckflex.errors import FileFormatError, NetworkError
from speckflex.networks.pickle import MAX_UNPACKED_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["is_nir", "load_nir"]

HDF5_START = b"\x89HDF\r\n\x1a\n"

LEAK = (
    "leaks or filters over time, which Speck's integrate-and-fire neurons do not: train the"
    " network with IF neurons"
)
REASONS: dict[type, str] = {
    nir.LIF: LEAK,
    nir.CubaLIF: LEAK,
    nir.LI: LEAK,
    nir.I: "integrates and never fires: leave it out, the last layer's potential can be read out",
    nir.Threshold: "fires without a state: use IF neurons",
    nir.Scale: "scales its input: multiply the scale into the weights before it",
    nir.Delay: "delays spikes, which Speck can't: train without delays",
    nir.Conv1d: "is one-dimensional: write it as a Conv2d of height 1",
    nir.NIRGraph: "is a graph inside the graph: export the network flat, and without recurrence",
}
ENDS = (nir.Input, nir.Output)
TAKEN = (
    nir.Affine, nir.Linear, nir.Conv2d, nir.IF, nir.SumPool2d, nir.AvgPool2d, nir.Flatten, *ENDS
)  # fmt: skip


def is_nir(path: Path) -> bool:
    """Return whether a file begins as HDF5 files do; False where it can't be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(HDF5_START)) == HDF5_START
    except OSError:
        return False


def load_nir(path: Path) -> nn.Module:
    """Return the network of a NIR file: its nodes in a row, under their names.

    Per-neuron thresholds and zero biases stay as the file has them.

    Raises:
        NetworkError: a node has no equivalent on Speck, or the nodes form no chain.
        FileFormatError: the file is damaged or no NIR file.
    """
    graph = _read(path)
    for name, node in graph.nodes.items():
        _check_node(path, name, node)
    order = _chain(path, graph)
    layers = _layers(path, graph)
    named = OrderedDict((_module_name(name), layers[_module_name(name)]) for name in order)
    if len(named) != len(order):
        raise NetworkError(
            f"{path}: two nodes have the same name once dots are replaced: rename one of"
            f" {', '.join(order)}"
        )
    return nn.Sequential(named)


def _module_name(name: str) -> str:
    return name.replace(".", "_")


def _read(path: Path) -> nir.NIRGraph:
    if not is_nir(path):
        raise FileFormatError(f"{path}: is no HDF5 file, as NIR files are: export it again")
    try:
        with h5py.File(path, "r") as file:
            _check_contents(path, file)
        graph = nir.read(path)
    except FileFormatError:
        raise
    except Exception as error:  # HDF5 and nir raise anything on a damaged file
        raise FileFormatError(
            f"{path}: is damaged or no NIR file ({first_line(error)}): export it again"
        ) from error
    if not isinstance(graph, nir.NIRGraph):
        raise FileFormatError(
            f"{path}: holds a single {type(graph).__name__} and no graph: export a whole network"
        )
    return graph


def _check_contents(path: Path, file: h5py.File) -> None:
    """Check that all data lies in the file and has a bounded size, whatever its compression."""
    links: list[tuple[str, Any]] = []
    # An exception inside the visit would lose its message on the way through HDF5.
    file.visititems_links(lambda name, link: links.append((name, link)))
    total = 0
    for name, link in links:
        if not isinstance(link, h5py.HardLink):
            raise FileFormatError(f"{path}: {name} is a link to elsewhere: export the graph again")
        item = file[name]
        if isinstance(item, h5py.Dataset):
            if item.is_virtual or item.external:
                raise FileFormatError(
                    f"{path}: {name} takes its data from another file: export the graph again"
                )
            total += item.nbytes
    if total > MAX_UNPACKED_BYTES:
        raise FileFormatError(
            f"{path}: its arrays claim {total} bytes, more than {MAX_UNPACKED_BYTES}:"
            " export the graph again"
        )


def _check_node(path: Path, name: str, node: nir.NIRNode) -> None:
    where = f"{path}: node {name} ({type(node).__name__})"
    if not isinstance(node, TAKEN):
        reason = REASONS.get(type(node), "is not known to speckflex: export other nodes")
        raise NetworkError(f"{where} {reason}")
    if isinstance(node, nir.IF):
        _check_neuron(where, node)
    if isinstance(node, (nir.SumPool2d, nir.AvgPool2d)) and np.any(node.padding):
        raise NetworkError(
            f"{where} has padding {np.asarray(node.padding).tolist()}: Speck pools without padding"
        )


def _check_neuron(where: str, node: nir.IF) -> None:
    if np.any(np.asarray(node.r) != 1):
        raise NetworkError(
            f"{where} has a resistance r other than 1: multiply it into the weights before it"
        )
    if not np.all(np.asarray(node.v_threshold) > 0):
        raise NetworkError(
            f"{where} has a threshold of {np.min(node.v_threshold)}: thresholds must be above 0"
        )
    if np.any(getattr(node, "v_reset", None) or 0):
        raise NetworkError(
            f"{where} resets to a potential other than 0: Speck's neurons subtract the threshold"
        )


def _chain(path: Path, graph: nir.NIRGraph) -> list[str]:
    """Return the names of the nodes from input to output, ends left out."""
    edges = set(graph.edges)
    unknown = sorted({name for edge in edges for name in edge} - set(graph.nodes))
    if unknown:
        raise FileFormatError(
            f"{path}: an edge names node {unknown[0]}, which the graph lacks: export it again"
        )
    ordered = _ordered(path, graph.nodes, edges)
    n_in, n_out = Counter(end for _, end in edges), Counter(start for start, _ in edges)
    for name in ordered:
        ways = (n_in[name], n_out[name])
        needed = {nir.Input: (0, 1), nir.Output: (1, 0)}.get(type(graph.nodes[name]), (1, 1))
        if ways != needed:
            raise NetworkError(
                f"{path}: node {name} ({type(graph.nodes[name]).__name__}) has {ways[0]} edges in"
                f" and {ways[1]} out: a NIR graph must be a chain, save branches as a torch module"
            )
    if sum(isinstance(node, nir.Input) for node in graph.nodes.values()) > 1:
        raise NetworkError(f"{path}: its nodes form several chains: export one network a file")
    return [name for name in ordered if not isinstance(graph.nodes[name], ENDS)]


def _ordered(path: Path, names: Iterable[str], edges: Iterable[tuple[str, str]]) -> list[str]:
    """Return the names, each after those that send to it."""
    sorter = TopologicalSorter(dict.fromkeys(names, ()))
    for start, end in edges:
        sorter.add(end, start)
    try:
        return list(sorter.static_order())
    except CycleError as error:
        _, (*cycle, _) = error.args
        raise NetworkError(
            f"{path}: nodes {', '.join(cycle)} form a cycle: Speck's cores pass spikes forward"
            " only, use a feed-forward network"
        ) from error


def _layers(path: Path, graph: nir.NIRGraph) -> dict[str, nn.Module]:
    """Return the layers that sinabs makes of the nodes, by module name."""
    from sinabs.nir import from_nir

    nodes = {name: _understood(node) for name, node in graph.nodes.items()}
    root = logging.getLogger()
    level = root.level
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # nirtorch logs at the root logger about graphs that are fine here.
            root.setLevel(logging.ERROR)
            layers = dict(from_nir(nir.NIRGraph(nodes, graph.edges), batch_size=1).named_children())
    except Exception as error:  # sinabs and nirtorch raise anything on nodes that do not fit
        raise NetworkError(
            f"{path}: sinabs can't build the graph ({type(error).__name__}: {first_line(error)}):"
            " export it again"
        ) from error
    finally:
        root.setLevel(level)
    for name, node in graph.nodes.items():
        _plain_sizes(layers[_module_name(name)])
        if isinstance(node, nir.AvgPool2d):
            pool: Any = layers[_module_name(name)]
            layers[_module_name(name)] = nn.AvgPool2d(pool.kernel_size, pool.stride)
    return layers


def _understood(node: nir.NIRNode) -> nir.NIRNode:
    """Return the node, or the one that sinabs knows in its place."""
    if isinstance(node, nir.Linear):
        return nir.Affine(node.weight, np.zeros(node.weight.shape[0], node.weight.dtype))
    if isinstance(node, nir.AvgPool2d):
        return nir.SumPool2d(node.kernel_size, node.stride, node.padding)
    return node


def _plain_sizes(layer: nn.Module) -> None:
    """Replace numpy's integers, which other packages choke on, by Python's."""
    for key, value in vars(layer).items():
        if isinstance(value, tuple) and all(isinstance(item, np.integer) for item in value):
            setattr(layer, key, tuple(int(item) for item in value))
        elif isinstance(value, np.integer):
            setattr(layer, key, int(value))
