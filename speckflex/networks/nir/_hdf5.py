"""NIR graphs out of HDF5 files: checked for size and origin first, then read by field name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from speckflex._support.hdf5 import Hdf5Guard, holds_text
from speckflex._support.text import shown
from speckflex.errors import FileFormatError
from speckflex.networks._hdf5 import damaged_hdf5, text_of
from speckflex.networks._limits import MAX_UNPACKED_BYTES
from speckflex.networks.nir._records import Graph, Node

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["read_graph"]

# A hard link may lead from a group to a group around it, so that no walk over them would end.
DEEPEST = 20
MOST_NODES = 10_000
NUMBERS = "biuf"
GUARD = Hdf5Guard(FileFormatError, "export the graph again", MAX_UNPACKED_BYTES)


def read_graph(path: Path) -> Graph:
    """Return the graph in a NIR file of any version, nothing of it interpreted.

    Raises:
        FileFormatError: the file is damaged, claims more than it stores, takes data from other
            files, or holds no NIR graph.
    """
    try:
        GUARD.check_heaps(path)
        with h5py.File(path, "r") as file:
            GUARD.check_contents(path, file)
            return _Reader(path, _version(file)).whole(file)
    except FileFormatError:
        raise
    except Exception as error:  # HDF5 raises anything on a damaged file
        raise damaged_hdf5(path, error) from error


def _version(file: h5py.File) -> str:
    """Return the version of nir that wrote the file; "" where it does not say."""
    found = file.get("version", file.attrs.get("version", ""))
    if isinstance(found, h5py.Dataset):
        found = found[()] if found.shape == () and holds_text(found) else ""
    text = text_of(found)
    return "" if text is None else text[:20]


@dataclass
class _Reader:
    """Reads groups of one file, and counts what it read."""

    path: Path
    version: str
    n_nodes: int = 0

    def whole(self, file: h5py.File) -> Graph:
        root = file.get("node")
        if not isinstance(root, h5py.Group):
            raise FileFormatError(
                f"{self.path}: has no group 'node', as NIR files have: export the network with nir"
            )
        graph = self.node("", root, 0)
        if isinstance(graph, Node):
            raise FileFormatError(
                f"{self.path}: holds a single {shown(graph.kind)} and no graph: export a whole"
                " network"
            )
        return replace(graph, version=self.version)

    def node(self, name: str, group: h5py.Group, depth: int) -> Node | Graph:
        self.n_nodes += 1
        if depth > DEEPEST or self.n_nodes > MOST_NODES:
            raise FileFormatError(
                f"{self.path}: node {shown(name)} lies more than {DEEPEST} graphs deep, or there"
                f" are more than {MOST_NODES} nodes: export a smaller graph"
            )
        where = f"{self.path}: node {shown(name)}" if name else f"{self.path}: its graph"
        kind = self.value(f"{where}: type", group["type"]) if "type" in group else None
        if not isinstance(kind, str):
            raise FileFormatError(f"{where} has no type: export the graph again")
        if kind == "NIRGraph":
            return self.graph(where, group, depth)
        fields = {
            key: self.value(f"{where}: {shown(key)}", item)
            for key, item in group.items()
            if key not in {"type", "metadata"}
        }
        return Node(kind, fields, dict(self.metadata(group)))

    def graph(self, where: str, group: h5py.Group, depth: int) -> Graph:
        nodes, edges = group.get("nodes"), group.get("edges")
        if not isinstance(nodes, h5py.Group) or not isinstance(edges, h5py.Dataset):
            raise FileFormatError(f"{where} lacks its nodes or its edges: export the graph again")
        return Graph(
            {name: self.node(name, item, depth + 1) for name, item in self.groups(where, nodes)},
            self.edges(where, edges),
        )

    def groups(
        self, where: str, group: h5py.Group, outer: str = ""
    ) -> Iterator[tuple[str, h5py.Group]]:
        """Yield the groups of nodes; a name with a slash lies in a group of its own in HDF5."""
        for key, item in group.items():
            name = f"{outer}{key}"
            if not isinstance(item, h5py.Group):
                raise FileFormatError(
                    f"{where} has {shown(name)} among its nodes, which is none: export the graph"
                    " again"
                )
            if "type" in item or not len(item) or name.count("/") >= DEEPEST:
                yield name, item
            else:
                yield from self.groups(where, item, f"{name}/")

    def edges(self, where: str, dataset: h5py.Dataset) -> tuple[tuple[str, str], ...]:
        """Return the edges, each once: some writers repeat the ones of recurrent layers."""
        if dataset.size == 0:
            return ()
        if len(dataset.shape) != 2 or dataset.shape[1] != 2:
            raise FileFormatError(
                f"{where} has edges of shape {dataset.shape}, not pairs of names: export the graph"
                " again"
            )
        if not holds_text(dataset):
            raise FileFormatError(
                f"{where} has edges that are not names but {dataset.dtype}: export the graph again"
            )
        whole = [text_of(name) or "" for name in dataset[()].reshape(-1)]
        return tuple(dict.fromkeys(zip(whole[::2], whole[1::2], strict=True)))

    def value(self, where: str, item: Any) -> np.ndarray | str:
        """Return an array of numbers, or a text."""
        if not isinstance(item, h5py.Dataset):
            raise FileFormatError(f"{where} is a group in place of values: export the graph again")
        if item.dtype.kind in NUMBERS:
            return np.asarray(item[()])
        text = text_of(item[()]) if item.size == 1 and holds_text(item) else None
        if text is None:
            raise FileFormatError(
                f"{where} holds {item.dtype} of shape {item.shape}, neither numbers nor a text:"
                " export the graph again"
            )
        return text

    def metadata(self, group: h5py.Group) -> Iterator[tuple[str, Any]]:
        """Yield the texts and single numbers among a node's metadata; what else there is, is not.

        Metadata change nothing of what a node computes, so that any other writer's may be here.
        """
        found = group.get("metadata")
        for key, item in found.items() if isinstance(found, h5py.Group) else ():
            if not isinstance(item, h5py.Dataset) or item.shape != ():
                continue
            if item.dtype.kind in NUMBERS:
                yield key, item[()].item()
            elif holds_text(item):
                yield key, text_of(item[()])
