"""The nodes of a NIR graph in a row: graphs inside the graph inlined, branches refused."""

from __future__ import annotations

from collections import Counter
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

import numpy as np

from speckflex._support.text import shown
from speckflex.errors import FileFormatError, NetworkError
from speckflex.networks.nir._records import Graph, Node

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["chain_of", "input_sizes"]

# What a graph inside the graph has at its ends: it passes on what it is given.
PASSING = Node("Identity", {})
ENDS = {"Input", "Output"}
# Far beyond the chip's input map; a larger size is no map of a sensor.
LARGEST_MAP = 2**16


def chain_of(source: str, graph: Graph) -> list[tuple[str, Node]]:
    """Return (name, node) from input to output, ends and nodes that only pass values left out.

    Args:
        source: what messages begin with.
        graph: as the file has it; its nodes may stand in any order.

    Raises:
        NetworkError: the nodes form a cycle, branch, or lie apart.
        FileFormatError: an edge names a node that there is not.
    """
    nodes, edges = _flat(source, graph)
    _check_ends(source, nodes)
    if not nodes:
        raise NetworkError(f"{source}: its graph has no nodes: export a whole network")
    ordered = _ordered(source, nodes, edges)
    n_in, n_out = Counter(end for _, end in edges), Counter(start for start, _ in edges)
    for name in ordered:
        _check_ways(source, name, nodes[name].kind, (n_in[name], n_out[name]))
    starts = [name for name in ordered if not n_in[name]]
    if len(starts) > 1:
        raise NetworkError(
            f"{source}: its nodes form several chains, which begin at {_listed(starts[:4])}: export"
            " one network a file"
        )
    return [(name, nodes[name]) for name in ordered if nodes[name].kind not in {*ENDS, "Identity"}]


def input_sizes(graph: Graph) -> tuple[int, ...] | None:
    """Return the sizes that the graph's Input node states; None where it states none."""
    for node in graph.nodes.values():
        if isinstance(node, Node) and node.kind == "Input":
            shape = node.fields.get("shape")
            if not isinstance(shape, str) and shape is not None and shape.ndim <= 1:
                values = shape.astype(np.float64).reshape(-1)
                # not a number fails both comparisons
                if np.all((values >= 1) & (values <= LARGEST_MAP)):
                    return tuple(int(size) for size in values)
    return None


def _flat(source: str, graph: Graph) -> tuple[dict[str, Node], list[tuple[str, str]]]:
    """Return the nodes and edges with those of inner graphs in their place, as outer/inner."""
    nodes: dict[str, Node] = {}
    edges: list[tuple[str, str]] = []
    entries: dict[str, str] = {}
    exits: dict[str, str] = {}
    for name, item in graph.nodes.items():
        if isinstance(item, Node):
            nodes[name] = item
            continue
        inner_nodes, inner_edges = _flat(source, item)
        entries[name] = f"{name}/{_only_end(source, name, inner_nodes, 'Input')}"
        exits[name] = f"{name}/{_only_end(source, name, inner_nodes, 'Output')}"
        for inner, node in inner_nodes.items():
            nodes[f"{name}/{inner}"] = PASSING if node.kind in ENDS else node
        edges += [(f"{name}/{start}", f"{name}/{end}") for start, end in inner_edges]
    for start, end in graph.edges:
        edge = (exits.get(start, start), entries.get(end, end))
        unknown = next((name for name in edge if name not in nodes), None)
        if unknown is not None:
            raise FileFormatError(
                f"{source}: an edge names node {shown(unknown)}, which the graph lacks: export it"
                " again"
            )
        edges.append(edge)
    return nodes, edges


def _only_end(source: str, name: str, nodes: Mapping[str, Node], kind: str) -> str:
    ends = [inner for inner, node in nodes.items() if node.kind == kind]
    if len(ends) != 1:
        raise NetworkError(
            f"{source}: the graph inside node {shown(name)} has {len(ends)} {kind} nodes"
            f" ({_listed(ends) or 'none'}): give it one"
        )
    return ends[0]


def _check_ends(source: str, nodes: Mapping[str, Node]) -> None:
    for kind in ("Input", "Output"):
        ends = [name for name, node in nodes.items() if node.kind == kind]
        if len(ends) > 1:
            raise NetworkError(
                f"{source}: it has {len(ends)} {kind} nodes ({_listed(ends)}), but a network on"
                f" Speck has one stream of events: export it with one {kind}"
            )


def _ordered(source: str, names: Iterable[str], edges: Iterable[tuple[str, str]]) -> list[str]:
    """Return the names, each after those that send to it."""
    sorter = TopologicalSorter(dict.fromkeys(names, ()))
    for start, end in edges:
        sorter.add(end, start)
    try:
        return list(sorter.static_order())
    except CycleError as error:
        _, (*cycle, _) = error.args
        raise NetworkError(
            f"{source}: nodes {_listed(cycle)} form a cycle: Speck's cores pass spikes forward"
            " only, use a feed-forward network"
        ) from error


def _check_ways(source: str, name: str, kind: str, ways: tuple[int, int]) -> None:
    """Check the numbers of edges into and out of a node; a graph may lack its Input and Output."""
    allowed = {"Input": {(0, 1)}, "Output": {(1, 0)}}.get(kind, {(1, 1), (0, 1), (1, 0)})
    if ways not in allowed:
        raise NetworkError(
            f"{source}: node {shown(name)} ({kind}) has {ways[0]} edges in and {ways[1]} out: a NIR"
            " graph must be a chain, save branches as a torch module"
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(shown, names))
