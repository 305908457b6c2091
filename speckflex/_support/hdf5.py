"""Checks of foreign HDF5 files before they are read: their heaps, their links and their claims."""

from __future__ import annotations

import math
import mmap
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from h5py import h5o  # pyright: ignore[reportAttributeAccessIssue] - compiled

from speckflex._support.hdf5_headers import header_spans
from speckflex._support.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from speckflex.errors import SpeckflexError

__all__ = ["Hdf5Guard", "holds_text", "is_hdf5"]

HDF5_START = b"\x89HDF\r\n\x1a\n"
# Deflate packs at most 1032 : 1, and HDF5's other filters less.
MAX_COMPRESSION = 1032
# Below this a claim can do no harm, and HDF5 keeps the chunks of a small array whole.
ALWAYS_ALLOWED_BYTES = 2**20
# A global heap collection: signature, version 1 and three zeros; then 8 bytes of size, and objects
# of index, references and reserved bytes in 8 bytes, and their length in 8.
HEAP_START = b"GCOL\x01\x00\x00\x00"
HEAP_HEADER = 16
OBJECT_HEADER = 16
ALIGNMENT = 8
# What stands for a text of any length: its length, the address of its heap, and its index there
# (section IV.B of the specification). HDF5 allocates the length before it looks at the heap.
REFERENCE = np.dtype([("length", "<u4"), ("heap", "<u8"), ("index", "<u4")])
LENGTH, ADDRESS, INDEX = (REFERENCE[name].itemsize for name in ("length", "heap", "index"))


def holds_text(dataset: h5py.Dataset) -> bool:
    """Return whether the values are texts, and no other values of any length."""
    return h5py.check_string_dtype(dataset.dtype) is not None


def is_hdf5(path: Path) -> bool:
    """Return whether a file begins as HDF5 files do; False where it can't be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(HDF5_START)) == HDF5_START
    except OSError:
        return False


@dataclass(frozen=True)
class Hdf5Guard:
    """What refuses a file that would hang HDF5, or take its data from elsewhere.

    Args:
        failure: the class of the errors.
        remedy: the end of each message, such as "export it again".
        largest: bytes that an array, or all of them, may take in memory.
    """

    failure: type[SpeckflexError]
    remedy: str
    largest: int

    def check_heaps(self, path: Path) -> None:
        """Check that the objects in each heap of texts fill it.

        HDF5 would look for the next object forever. Call it before h5py opens the file. Layout
        from the HDF5 File Format Specification, section III.E (global heap).

        Raises:
            SpeckflexError: of the class `failure`.
        """
        whole = _mapped(path)
        left = len(whole) // OBJECT_HEADER
        for start in _heaps(whole):
            objects = _objects(whole, start, left)
            if objects is None:
                raise self.failure(
                    f"{path}: is damaged, its heap of texts at byte {start} is not filled by"
                    f" what it lists: {self.remedy}"
                )
            # heaps that lie in each other would be read again and again
            left -= len(objects)

    def check_contents(self, path: Path, file: h5py.File) -> None:
        """Check that all data lies in the file, and that no array claims more than it stores.

        Raises:
            SpeckflexError: of the class `failure`.
        """
        links: list[tuple[str, Any]] = []
        # An exception inside the visit would lose its message on the way through HDF5.
        file.visititems_links(lambda name, link: links.append((name, link)))
        total, datasets = 0, {}
        headers = {h5o.get_info(file.id).addr}
        for name, link in links:
            if not isinstance(link, h5py.HardLink):
                raise self.failure(f"{path}: {shown(name)} is a link to elsewhere: {self.remedy}")
            item = file[name]
            headers.add(h5o.get_info(item.id).addr)
            if isinstance(item, h5py.Dataset):
                if item.is_virtual or item.external:
                    raise self.failure(
                        f"{path}: {shown(name)} takes its data from another file: {self.remedy}"
                    )
                self._check_claim(f"{path}: {shown(name)}", item)
                total += item.nbytes
                datasets[name] = item
        if total > self.largest:
            raise self.failure(
                f"{path}: its arrays claim {total} bytes, more than {self.largest}: {self.remedy}"
            )
        whole = _mapped(path)
        spans = header_spans(whole, file.userblock_size, headers)
        self._check_texts(path, file, datasets, whole, spans)

    def _check_texts(
        self,
        path: Path,
        file: h5py.File,
        datasets: dict[str, h5py.Dataset],
        whole: mmap.mmap,
        headers: list[tuple[int, int]] | None,
    ) -> None:
        """Check that all texts together claim no more than the file has.

        Those in attributes, and in the headers of datasets, are found by the addresses of heaps.
        Where headers keep something elsewhere, they may be anywhere but in numbers.
        """
        claimed = 0
        numbers: list[tuple[int, int]] = []
        for name, dataset in datasets.items():
            if not dataset.dtype.hasobject or h5py.check_ref_dtype(dataset.dtype):
                if headers is None:
                    numbers += _spans(dataset)
                continue
            size = 1 if holds_text(dataset) else h5py.check_vlen_dtype(dataset.dtype).itemsize
            lengths = _lengths(dataset, whole)
            if lengths is None:
                raise self.failure(
                    f"{path}: {shown(name)} has texts or rows whose length can't be checked: their"
                    f" compression is damaged, or is no gzip: {self.remedy}"
                )
            claimed += size * lengths
        searched = _between(numbers, len(whole)) if headers is None else headers
        if claimed > len(whole) or _has_false_reference(whole, file.userblock_size, searched):
            raise self.failure(
                f"{path}: its texts claim more bytes than are stored for them: {self.remedy}"
            )

    def _check_claim(self, where: str, dataset: h5py.Dataset) -> None:
        chunk = math.prod(dataset.chunks) * dataset.dtype.itemsize if dataset.chunks else 0
        claimed = max(dataset.nbytes, chunk)
        if claimed > self.largest:
            raise self.failure(
                f"{where} claims {claimed} bytes, more than {self.largest}: {self.remedy}"
            )
        stored = dataset.id.get_storage_size()
        if claimed > ALWAYS_ALLOWED_BYTES and claimed > MAX_COMPRESSION * stored:
            raise self.failure(
                f"{where} claims {claimed} bytes, but the file stores {stored} for it:"
                f" {self.remedy}"
            )


def _spans(dataset: h5py.Dataset) -> list[tuple[int, int]]:
    """Return where the values of a dataset lie in its file, which is nowhere in its header."""
    stored = dataset.id
    if dataset.chunks is None:
        start = stored.get_offset()
        return [] if start is None else [(start, start + stored.get_storage_size())]
    found: list[tuple[int, int]] = []
    stored.chunk_iter(
        lambda one: found.append((one.byte_offset, one.byte_offset + one.size)) and None
    )
    return found


def _lengths(dataset: h5py.Dataset, whole: mmap.mmap) -> int | None:
    """Return the sum of the lengths of texts or rows; None where it can't be found."""
    plist = dataset.id.get_create_plist()
    filters = [plist.get_filter(place)[0] for place in range(plist.get_nfilters())]
    if not filters:
        pieces = [whole[start:stop] for start, stop in _spans(dataset)]
    else:
        chunks: list[Any] = []
        dataset.id.chunk_iter(lambda one: chunks.append(one) and None)
        try:
            pieces = [_unpacked(dataset, chunk, filters) for chunk in chunks]
        except (zlib.error, ValueError):
            return None
    total = 0
    for piece in pieces:
        references = np.frombuffer(piece, REFERENCE, len(piece) // REFERENCE.itemsize)
        total += int(references["length"].sum(dtype=np.int64))
    return total


def _unpacked(dataset: h5py.Dataset, chunk: Any, filters: list[int]) -> bytes:
    """Return the references in a compressed chunk, without HDF5, which would follow them.

    Of HDF5's own filters only gzip takes references; a chunk says by a mask that others were left
    out.

    Raises:
        ValueError: there is another filter.
        zlib.error: the chunk is damaged.
    """
    mask, content = dataset.id.read_direct_chunk(chunk.chunk_offset)
    applied = [number for place, number in enumerate(filters) if not mask >> place & 1]
    if applied not in ([], [h5py.h5z.FILTER_DEFLATE]):
        raise ValueError(f"filters {applied}")
    most = math.prod(dataset.chunks or ()) * REFERENCE.itemsize
    return zlib.decompressobj().decompress(content, most) if applied else content


def _between(spans: list[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    """Return what lies between spans."""
    found, end = [], 0
    for start, stop in [*sorted(spans), (size, size)]:
        if start > end:
            found.append((end, start))
        end = max(end, stop)
    return found


def _has_false_reference(whole: mmap.mmap, base: int, spans: list[tuple[int, int]]) -> bool:
    """Return whether something in some spans names a heap's text and a larger length."""
    heaps = np.array([*_heaps(whole)], np.uint64) - base
    objects: dict[int, dict[int, int]] = {}
    for start, stop in spans:
        for at in _places_of(heaps, whole, start, stop):
            length, heap, index = np.frombuffer(whole, REFERENCE, 1, at - LENGTH)[0].tolist()
            if heap not in objects:
                objects[heap] = dict(_objects(whole, heap + base, len(whole)) or ())
            if length > objects[heap].get(index, length):
                return True
    return False


def _places_of(addresses: np.ndarray, whole: mmap.mmap, start: int, stop: int) -> Iterator[int]:
    """Yield where references may lie that name one of some addresses, from start to stop."""
    start += LENGTH
    stop -= INDEX
    for first in range(start, min(start + ADDRESS, stop - ADDRESS + 1)):
        values = np.frombuffer(whole, "<u8", (stop - first) // ADDRESS, first)
        small = np.flatnonzero(values < len(whole))
        found = small[np.isin(values[small], addresses)]
        yield from (first + ADDRESS * found).tolist()


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _heaps(whole: mmap.mmap) -> Iterator[int]:
    """Yield where heaps of texts begin."""
    start = whole.find(HEAP_START)
    while start >= 0:
        # at any place: HDF5 aligns nothing behind headers of its newer form
        yield start
        start = whole.find(HEAP_START, start + 1)


def _objects(content: mmap.mmap, start: int, most: int) -> list[tuple[int, int]] | None:
    """Return index and length of the objects in a heap; None if they, or `most`, don't fill it."""
    header = content[start + len(HEAP_START) : start + HEAP_HEADER]
    size = int.from_bytes(header, "little")
    if len(header) < HEAP_HEADER - len(HEAP_START) or start + size > len(content):
        return None
    found: list[tuple[int, int]] = []
    position = start + HEAP_HEADER
    while position + OBJECT_HEADER <= start + size:
        index = int.from_bytes(content[position : position + 2], "little")
        length = int.from_bytes(content[position + 8 : position + OBJECT_HEADER], "little")
        taken = OBJECT_HEADER + -(-length // ALIGNMENT) * ALIGNMENT if index else length
        # The free space at the end has the index 0, and counts its own header.
        if taken < OBJECT_HEADER or position + taken > start + size or len(found) >= most:
            return None
        found.append((index, length))
        position += taken
    return found
