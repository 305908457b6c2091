"""The container of a recording file: HDF5 with one JSON manifest and compressed integers."""

from __future__ import annotations

import json
import math
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import h5py
import numpy as np

from speckflex._support.files import suffix_problem, writing_whole
from speckflex._support.hdf5 import Hdf5Guard, holds_text
from speckflex._support.reading import check_is_file
from speckflex._support.text import one_line
from speckflex.errors import FileFormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = ["Column", "Container", "open_container", "write_container"]

FORMAT = 1
CONTENT = "speckflex recording"
# The values of a large array come and go in pieces of so many, so that a recording needs no
# second place in memory while it is written or read.
PIECE = 2**20
# In memory, a file may take this much, or this many times its own bytes: zeros pack 1000 : 1.
ALWAYS_ALLOWED_BYTES = 2**30
MOST_UNPACKED = 200
LARGEST = 2**42
MOST_MANIFEST_BYTES = 2**28
GUARD = Hdf5Guard(FileFormatError, "play the samples again", LARGEST)
NARROW = (np.int8, np.int16, np.int32, np.int64)


class Column(NamedTuple):
    """Integers in several arrays that are one array in the file.

    Attributes:
        name: in the file.
        parts: `(n,)` integers each.
    """

    name: str
    parts: Sequence[np.ndarray]


def write_container(path: str | Path, manifest: dict[str, Any], columns: Iterable[Column]) -> None:
    """Write a manifest and integer arrays to an HDF5 file.

    Args:
        path: of the file.
        manifest: of plain JSON types; it has all text, since JSON keeps what HDF5 strings can't,
            such as NUL.
        columns: the integers; a column of a single part may have any number of axes.

    Raises:
        FileFormatError: the name promises another format, the file can't be written, or a value
            is no integer.
    """
    if problem := suffix_problem(path, ".h5"):
        raise FileFormatError(problem)
    # HDF5 may end the process if a disk is full, so it never meets the disk itself.
    with writing_whole(path, FileFormatError) as target, h5py.File(target, "w") as file:
        file.attrs["content"] = CONTENT
        file.attrs["format"] = FORMAT
        file.create_dataset("manifest", data=json.dumps(manifest))
        for column in columns:
            _write_column(file, column)


def _write_column(file: h5py.File, column: Column) -> None:
    name, parts = column
    dtype = _narrow(name, parts)
    whole = len(parts) == 1 and parts[0].ndim > 1
    shape = parts[0].shape if whole else (sum(map(len, parts)),)
    options: dict[str, Any] = {}
    if 0 not in shape:
        options = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
    if not whole and shape[0] > PIECE:
        options["chunks"] = (PIECE,)
    dataset = file.create_dataset(name, shape, dtype, **options)
    if whole:
        dataset[...] = parts[0].astype(dtype)
        return
    place = 0
    for piece in _pieces(parts):
        dataset[place : place + len(piece)] = piece.astype(dtype)
        place += len(piece)


def _pieces(parts: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the values of all parts, `PIECE` at a time, so that each fills a chunk of the file."""
    held: list[np.ndarray] = []
    n_held = 0
    for part in parts:
        start = 0
        while start < len(part):
            taken = part[start : start + PIECE - n_held]
            held.append(taken)
            n_held += len(taken)
            start += len(taken)
            if n_held == PIECE:
                yield np.concatenate(held)
                held, n_held = [], 0
    if held:
        yield np.concatenate(held)


def _narrow(name: str, parts: Sequence[np.ndarray]) -> type[np.signedinteger]:
    """Return the type of the fewest bytes that holds all values; most counts fit in one byte."""
    low = high = 0
    for part in parts:
        if not part.size:
            continue
        if part.dtype.kind not in "biu":
            raise FileFormatError(
                f"{name}: values of dtype {part.dtype} are no integers, and a recording holds"
                " integers alone: scale and round them first"
            )
        low, high = min(low, int(part.min())), max(high, int(part.max()))
    for dtype in NARROW[:-1]:
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return dtype
    return np.int64


@contextmanager
def open_container(path: str | Path) -> Iterator[Container]:
    """Open a recording file, to read its arrays while it is open.

    Raises:
        FileFormatError: the file is missing, damaged, foreign or too new; also raised while it is
            open, if its contents have wrong names, types or values.
    """
    path = Path(path)
    check_is_file(path, FileFormatError)
    if not path.is_file():
        raise FileFormatError(f"{path}: no such file: check the path of the recording")
    try:
        size = path.stat().st_size
        if size:
            GUARD.check_heaps(path)
        with h5py.File(path, "r") as file:
            GUARD.check_contents(path, file)
            _check_format(file, path)
            yield Container(file, _manifest(file), max(ALWAYS_ALLOWED_BYTES, MOST_UNPACKED * size))
    except OSError as error:
        raise FileFormatError(
            f"{path}: not a recording, or cut short ({one_line(error)}): play the samples again"
        ) from error
    except FileFormatError:
        raise
    except Exception as error:  # HDF5 raises anything on a damaged file, SystemError too
        raise FileFormatError(
            f"{path}: its contents make no recording ({one_line(error)}): play the samples again"
        ) from error


def _manifest(file: h5py.File) -> Any:
    dataset = _dataset(file, "manifest")
    if dataset.shape != () or not holds_text(dataset):
        raise ValueError("its manifest is no single text")
    text = str(dataset.asstr()[()])
    if len(text) > MOST_MANIFEST_BYTES:
        raise ValueError(f"its manifest has {len(text)} characters")
    return json.loads(text)


def _check_format(file: h5py.File, path: Path) -> None:
    if file.attrs.get("content") != CONTENT:
        raise FileFormatError(
            f"{path}: an HDF5 file, but no recording of speckflex: check the path"
        )
    version = file.attrs.get("format")
    if version != FORMAT:
        raise FileFormatError(
            f"{path}: has format {version}, this speckflex reads {FORMAT}:"
            " update speckflex or play the samples again"
        )


@dataclass
class Container:
    """An open recording file.

    Args:
        file: of HDF5.
        manifest: what its JSON holds, of any type.
        left: bytes that its arrays may still take in memory.
    """

    file: h5py.File
    manifest: Any
    left: int

    def __contains__(self, name: str) -> bool:
        """Whether an array or a group has that name."""
        return name in self.file

    def integers(self, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
        """Return an int64 array; None in `shape` takes any length.

        Raises:
            KeyError: there is no such array.
            ValueError: it has another shape, no integers, values from elsewhere, or far more
                values than the file has bytes.
        """
        dataset = self._array(name, shape)
        self._spend(dataset, np.dtype(np.int64))
        values = np.empty(dataset.shape, np.int64)
        if values.size:
            dataset.read_direct(values)
        return values

    def fields(
        self, names: Sequence[str], length: int, dtype: np.dtype, check: Callable[..., None]
    ) -> np.ndarray:
        """Return a `(length,)` structured array whose fields are an array each in the file.

        Args:
            names: of the arrays; their last parts are the fields.
            length: of each.
            dtype: of the result.
            check: called with the name of a field and some of its values, which it may refuse.

        Raises:
            KeyError, ValueError: as for `integers`.
        """
        datasets = [self._array(name, (length,)) for name in names]
        self._spend(datasets[0], dtype)
        joined = np.empty(length, dtype)
        for dataset in datasets:
            field = str(dataset.name).rpartition("/")[2]
            for start in range(0, length, PIECE):
                piece = dataset[start : start + PIECE]
                check(field, piece)
                joined[field][start : start + PIECE] = piece
        return joined

    def _spend(self, dataset: h5py.Dataset, dtype: np.dtype) -> None:
        self.left -= math.prod(dataset.shape) * dtype.itemsize
        if self.left < 0:
            raise ValueError(
                f"{dataset.name} of shape {dataset.shape} takes far more memory than its file has"
                " bytes"
            )

    def _array(self, name: str, shape: tuple[int | None, ...]) -> h5py.Dataset:
        dataset = _dataset(self.file, name)
        stated = dataset.shape
        fits = (
            stated is not None
            and len(stated) == len(shape)
            and all(want in (None, have) for want, have in zip(shape, stated, strict=True))
        )
        if not fits or dataset.dtype.kind not in "iu":
            raise ValueError(
                f"{dataset.name} is {dataset.dtype} {stated}, expected integers {shape}"
            )
        return dataset


def _dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """Return a dataset of the file; that its values lie there too was checked before."""
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"{name} is no dataset of this file")  # noqa: TRY004 - of the file
    return dataset
