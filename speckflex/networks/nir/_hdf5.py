"""NIR graphs out of HDF5 files: checked for size and origin first, then read by field name."""

from __future__ import annotations

import math
import mmap
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from speckflex._support.text import first_line
from speckflex.errors import FileFormatError
from speckflex.networks._pickle import MAX_UNPACKED_BYTES
from speckflex.networks.nir._records import Graph, Node, shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["is_nir", "read_graph"]

HDF5_START = b"\x89HDF\r\n\x1a\n"
# Deflate packs at most 1032 : 1, and HDF5's other filters less.
MAX_COMPRESSION = 1032
# Below this a claim can do no harm, and HDF5 keeps the chunks of a small array whole.
ALWAYS_ALLOWED_BYTES = 2**20
# A hard link may lead from a group to a group around it, so that no walk over them would end.
DEEPEST = 20
MOST_NODES = 10_000
NUMBERS = "biuf"
# A global heap collection: signature, version 1 and three zeros; then 8 bytes of size, and objects
# of index, references and reserved bytes in 8 bytes, and their length in 8.
HEAP_START = b"GCOL\x01\x00\x00\x00"
HEAP_HEADER = 16
OBJECT_HEADER = 16
ALIGNMENT = 8


def is_nir(path: Path) -> bool:
    """Return whether a file begins as HDF5 files do; False where it can't be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(HDF5_START)) == HDF5_START
    except OSError:
        return False


def read_graph(path: Path) -> Graph:
    """Return the graph in a NIR file of any version, nothing of it interpreted.

    Raises:
        FileFormatError: the file is damaged, claims more than it stores, takes data from other
            files, or holds no NIR graph.
    """
    if not is_nir(path):
        raise FileFormatError(f"{path}: is no HDF5 file, as NIR files are: export it again")
    try:
        _check_heaps(path)
        with h5py.File(path, "r") as file:
            _check_contents(path, file)
            return _Reader(path, _version(file)).whole(file)
    except FileFormatError:
        raise
    except Exception as error:  # HDF5 raises anything on a damaged file
        raise FileFormatError(
            f"{path}: is damaged, HDF5 can't read it ({shown(first_line(error))}): export it again"
        ) from error


def _check_heaps(path: Path) -> None:
    """Check that the objects in each heap of texts fill it: HDF5 would look for the next forever.

    Layout from the HDF5 File Format Specification, section III.E (global heap).
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.find(HEAP_START)
        while start >= 0:
            if start % ALIGNMENT == 0 and not _is_filled(content, start):
                raise FileFormatError(
                    f"{path}: is damaged, its heap of texts at byte {start} is not filled by what"
                    " it lists: export it again"
                )
            start = content.find(HEAP_START, start + 1)


def _is_filled(content: mmap.mmap, start: int) -> bool:
    header = content[start + len(HEAP_START) : start + HEAP_HEADER]
    size = int.from_bytes(header, "little")
    if len(header) < HEAP_HEADER - len(HEAP_START) or start + size > len(content):
        return False
    position = start + HEAP_HEADER
    while position + OBJECT_HEADER <= start + size:
        index = int.from_bytes(content[position : position + 2], "little")
        length = int.from_bytes(content[position + 8 : position + OBJECT_HEADER], "little")
        if index:
            length = OBJECT_HEADER + -(-length // ALIGNMENT) * ALIGNMENT
        # The free space at the end has the index 0, and counts its own header.
        if length < OBJECT_HEADER or position + length > start + size:
            return False
        position += length
    return True


def _check_contents(path: Path, file: h5py.File) -> None:
    """Check that all data lies in the file, and that no array claims more than it stores."""
    links: list[tuple[str, Any]] = []
    # An exception inside the visit would lose its message on the way through HDF5.
    file.visititems_links(lambda name, link: links.append((name, link)))
    total = 0
    for name, link in links:
        if not isinstance(link, h5py.HardLink):
            raise FileFormatError(
                f"{path}: {shown(name)} is a link to elsewhere: export the graph again"
            )
        item = file[name]
        if isinstance(item, h5py.Dataset):
            if item.is_virtual or item.external:
                raise FileFormatError(
                    f"{path}: {shown(name)} takes its data from another file: export the graph"
                    " again"
                )
            _check_claim(f"{path}: {shown(name)}", item)
            total += item.nbytes
    if total > MAX_UNPACKED_BYTES:
        raise FileFormatError(
            f"{path}: its arrays claim {total} bytes, more than {MAX_UNPACKED_BYTES}:"
            " export the graph again"
        )


def _check_claim(where: str, dataset: h5py.Dataset) -> None:
    chunk = math.prod(dataset.chunks) * dataset.dtype.itemsize if dataset.chunks else 0
    claimed = max(dataset.nbytes, chunk)
    if claimed > MAX_UNPACKED_BYTES:
        raise FileFormatError(
            f"{where} claims {claimed} bytes, more than {MAX_UNPACKED_BYTES}: export the graph"
            " again"
        )
    stored = dataset.id.get_storage_size()
    if claimed > ALWAYS_ALLOWED_BYTES and claimed > MAX_COMPRESSION * stored:
        raise FileFormatError(
            f"{where} claims {claimed} bytes, but the file stores {stored} for it: export the"
            " graph again"
        )


def _version(file: h5py.File) -> str:
    """Return the version of nir that wrote the file; "" where it does not say."""
    found = file.get("version", file.attrs.get("version", ""))
    value = found[()] if isinstance(found, h5py.Dataset) and found.shape == () else found
    text = _text(value)
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
            raise FileFormatError(f"{self.path}: {_other_content(file)}")
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
        names = [_text(name) for name in dataset[()].reshape(-1)]
        if None in names:
            raise FileFormatError(
                f"{where} has edges that are not names but {dataset.dtype}: export the graph again"
            )
        whole = [name for name in names if name is not None]
        return tuple(dict.fromkeys(zip(whole[::2], whole[1::2], strict=True)))

    def value(self, where: str, item: Any) -> np.ndarray | str:
        """Return an array of numbers, or a text."""
        if not isinstance(item, h5py.Dataset):
            raise FileFormatError(f"{where} is a group in place of values: export the graph again")
        if item.dtype.kind in NUMBERS:
            return np.asarray(item[()])
        text = _text(item[()]) if item.size == 1 else None
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
            if isinstance(item, h5py.Dataset) and item.shape == ():
                value = item[()]
                yield key, value.item() if item.dtype.kind in NUMBERS else _text(value)


def _text(value: Any) -> str | None:
    """Return a text that h5py gives as bytes, str or an array with one of them; else None."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value) if isinstance(value, str) else None


def _other_content(file: h5py.File) -> str:
    """Return what an HDF5 file without a graph is, as far as it says so, and what to do."""
    if _text(file.attrs.get("__type__", "")) == "NIRGraphData":
        return "holds NIR spike data and no network: name the file of the graph"
    if _text(file.attrs.get("content", "")) == "speckflex recording":
        return "is a recording and no network: name the model file"
    return (
        "is an HDF5 file without a NIR graph (it has no group 'node'): export the network with nir"
    )
