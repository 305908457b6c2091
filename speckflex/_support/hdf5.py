"""Checks of foreign HDF5 files before they are read: their heaps, their links and their claims."""

from __future__ import annotations

import math
import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h5py

from speckflex._support.text import shown

if TYPE_CHECKING:
    from pathlib import Path

    from speckflex.errors import SpeckflexError

__all__ = ["Hdf5Guard", "is_hdf5"]

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
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            start = whole.find(HEAP_START)
            while start >= 0:
                if start % ALIGNMENT == 0 and not _is_filled(whole, start):
                    raise self.failure(
                        f"{path}: is damaged, its heap of texts at byte {start} is not filled by"
                        f" what it lists: {self.remedy}"
                    )
                start = whole.find(HEAP_START, start + 1)

    def check_contents(self, path: Path, file: h5py.File) -> None:
        """Check that all data lies in the file, and that no array claims more than it stores.

        Raises:
            SpeckflexError: of the class `failure`.
        """
        links: list[tuple[str, Any]] = []
        # An exception inside the visit would lose its message on the way through HDF5.
        file.visititems_links(lambda name, link: links.append((name, link)))
        total = 0
        for name, link in links:
            if not isinstance(link, h5py.HardLink):
                raise self.failure(f"{path}: {shown(name)} is a link to elsewhere: {self.remedy}")
            item = file[name]
            if isinstance(item, h5py.Dataset):
                if item.is_virtual or item.external:
                    raise self.failure(
                        f"{path}: {shown(name)} takes its data from another file: {self.remedy}"
                    )
                self._check_claim(f"{path}: {shown(name)}", item)
                total += item.nbytes
        if total > self.largest:
            raise self.failure(
                f"{path}: its arrays claim {total} bytes, more than {self.largest}: {self.remedy}"
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
