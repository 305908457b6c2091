"""The container of a `.speck` file: a zip of one JSON manifest and npy arrays, no pickle."""

from __future__ import annotations

import io
import json
import lzma
import math
import struct
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex._support.files import suffix_problem, write_whole
from speckflex._support.npy import read_npy
from speckflex._support.reading import check_is_file
from speckflex._support.text import shown
from speckflex.errors import FileFormatError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Archive", "open_archive", "write_archive"]

MANIFEST = "manifest.json"
# A manifest names a handful of layers; a damaged or hostile one must not fill the memory.
MAX_MANIFEST_BYTES = 16 * 2**20
NPY_HEADER_BYTES = 4096
# Far above any layer, the largest of the published nets has 2.4 million weights, and zeros
# pack 1000 : 1.
MAX_ARRAY_BYTES = 2**27
# What zipfile raises for foreign, cut, locked or exotic archives; ValueError is of names that are
# no text, and of members before the file's beginning.
ZIP_ERRORS = (
    zipfile.BadZipFile,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
)
# A fixed date, so that the same program gives the same file.
ZIP_DATE = (1980, 1, 1, 0, 0, 0)


def write_archive(
    path: str | Path, manifest: dict[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """Write a manifest and arrays to `path`; the same ones give the same bytes.

    Args:
        path: of the file.
        manifest: of plain JSON types.
        arrays: by their names in the zip.

    Raises:
        FileFormatError: `path` can't be written, or has the suffix of another format.
    """
    problem = suffix_problem(path, ".speck")
    if problem:
        raise FileFormatError(problem)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        _write_member(file, MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode())
        for name, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array, allow_pickle=False)
            _write_member(file, name, content.getvalue())
    write_whole(path, buffer.getvalue(), FileFormatError)


@contextmanager
def open_archive(path: str | Path) -> Iterator[Archive]:
    """Open the file at `path`, to read its arrays while it is open.

    Raises:
        FileFormatError: the file is missing, damaged or has no manifest; also raised while it is
            open.
    """
    path = Path(path)
    check_is_file(path, FileFormatError)
    try:
        with zipfile.ZipFile(path) as file:
            yield Archive(path, file, _read_manifest(file, path))
    except OSError as error:
        raise FileFormatError(
            f"{path}: can't be read ({error.strerror or error}): check the path"
        ) from error
    except ZIP_ERRORS as error:
        raise FileFormatError(
            f"{path}: not a .speck file, or cut short ({shown(str(error))}): convert the network"
            " again"
        ) from error


@dataclass(frozen=True)
class Archive:
    """An open `.speck` file.

    Args:
        path: of the file.
        file: the zip.
        manifest: what its JSON holds, of any type.
    """

    path: Path
    file: zipfile.ZipFile
    manifest: Any

    def array(self, name: str, stated: Mapping[str, Any]) -> np.ndarray:
        """Return an array that is of the stated `dtype` and `shape`.

        Raises:
            FileFormatError: it has another dtype or shape, or unpacks to more bytes than these
                take.
        """
        dtype, shape = np.dtype(stated["dtype"]), tuple(stated["shape"])
        size = dtype.itemsize * math.prod(shape)
        limit = min(max(size, 0), MAX_ARRAY_BYTES) + NPY_HEADER_BYTES
        content = _read_member(self.file, name, limit, self.path)
        array = read_npy(io.BytesIO(content), len(content))
        if array.dtype != dtype or array.shape != shape:
            raise FileFormatError(
                f"{self.path}: {name} holds {array.dtype.name} {array.shape}, its manifest says"
                f" {dtype.name} {shape}: the file is damaged, convert the network again"
            )
        return array


def _write_member(file: zipfile.ZipFile, name: str, content: bytes) -> None:
    member = zipfile.ZipInfo(name, ZIP_DATE)
    member.compress_type = zipfile.ZIP_DEFLATED
    file.writestr(member, content)


def _read_manifest(file: zipfile.ZipFile, path: Path) -> Any:
    if MANIFEST not in file.namelist():
        raise FileFormatError(f"{path}: has no {MANIFEST}, so it is no .speck file: convert again")
    try:
        return json.loads(_read_member(file, MANIFEST, MAX_MANIFEST_BYTES, path))
    except (ValueError, RecursionError) as error:
        raise FileFormatError(
            f"{path}: its {MANIFEST} is no JSON ({error}): convert the network again"
        ) from error


def _read_member(file: zipfile.ZipFile, name: str, limit: int, path: Path) -> bytes:
    """Read at most `limit` bytes of a member, whatever its header claims."""
    with file.open(name) as member:
        content = member.read(limit + 1)
    if len(content) > limit:
        raise FileFormatError(
            f"{path}: {name} unpacks to more than the {limit} bytes its manifest allows:"
            " the file is damaged, convert the network again"
        )
    return content
