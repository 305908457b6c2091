"""The container of a recording file: HDF5 with one JSON manifest and compressed integers."""

from __future__ import annotations

import json
import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from speckflex._support.files import suffix_problem, write_whole
from speckflex._support.text import one_line
from speckflex.errors import FileFormatError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Container", "open_container", "write_container"]

FORMAT = 1
CONTENT = "speckflex recording"
# Deflate packs at most 1032 : 1; a dataset that claims more was never written by this module.
MAX_COMPRESSION = 1032
# HDF5 keeps the chunks of a small dataset whole, so its size on disk says nothing.
MIN_CHECKED_BYTES = 2**24


def write_container(
    path: str | Path,
    manifest: dict[str, Any],
    arrays: Iterable[tuple[str, np.ndarray | Sequence[int]]],
) -> None:
    """Write a manifest and integer arrays to an HDF5 file.

    Args:
        path: of the file.
        manifest: of plain JSON types; it has all text, since JSON keeps what HDF5 strings can't,
            such as NUL.
        arrays: their names in the file, and their integers.

    Raises:
        FileFormatError: the name promises another format, the file can't be written, or a value
            is no integer.
    """
    if problem := suffix_problem(path, ".h5"):
        raise FileFormatError(problem)
    # In memory, because HDF5 may end the process if a disk is full. The compressed integers
    # take less of it than the arrays do. HDF5 shares files of one name among threads.
    name = f"recording-{secrets.token_hex(8)}"
    with h5py.File(name, "w", driver="core", backing_store=False) as file:
        file.attrs["content"] = CONTENT
        file.attrs["format"] = FORMAT
        file.create_dataset("manifest", data=json.dumps(manifest))
        for array_name, values in arrays:
            _write_integers(file, array_name, np.asarray(values))
        file.flush()
        content = file.id.get_file_image()
    write_whole(path, content, FileFormatError)


def _write_integers(file: h5py.File, name: str, values: np.ndarray) -> None:
    array = _narrow(values, name)
    options = {"compression": "gzip", "compression_opts": 4, "shuffle": True} if array.size else {}
    file.create_dataset(name, data=array, **options)


def _narrow(array: np.ndarray, name: str) -> np.ndarray:
    """Return the values in the fewest bytes that hold them; most counts fit in one."""
    if not array.size:
        return array.astype(np.int8)
    if array.dtype.kind not in "biu":
        raise FileFormatError(
            f"{name}: values of dtype {array.dtype} are no integers, and a recording holds"
            " integers alone: scale and round them first"
        )
    low, high = int(array.min()), int(array.max())
    for dtype in (np.int8, np.int16, np.int32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return array.astype(dtype)
    return array.astype(np.int64)


@contextmanager
def open_container(path: str | Path) -> Iterator[Container]:
    """Open a recording file, to read its arrays while it is open.

    Raises:
        FileFormatError: the file is missing, damaged, foreign or too new; also raised while it is
            open, if its contents have wrong names, types or values.
    """
    path = Path(path)
    if not path.is_file():
        raise FileFormatError(f"{path}: no such file: check the path of the recording")
    try:
        with h5py.File(path, "r") as file:
            _check_format(file, path)
            yield Container(file, json.loads(_dataset(file, "manifest").asstr()[()]))
    except OSError as error:
        raise FileFormatError(
            f"{path}: not a recording, or cut short ({one_line(error)}): play the samples again"
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise FileFormatError(
            f"{path}: its contents make no recording ({one_line(error)}): play the samples again"
        ) from error


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


@dataclass(frozen=True)
class Container:
    """An open recording file.

    Args:
        file: of HDF5.
        manifest: what its JSON holds, of any type.
    """

    file: h5py.File
    manifest: Any

    def __contains__(self, name: str) -> bool:
        """Whether an array or a group has that name."""
        return name in self.file

    def integers(self, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
        """Return an int64 array; None in `shape` takes any length.

        Raises:
            KeyError: there is no such array.
            ValueError: it has another shape, no integers, or values from elsewhere.
        """
        dataset = _dataset(self.file, name)
        stated = dataset.shape
        fits = len(stated) == len(shape) and all(
            want in (None, have) for want, have in zip(shape, stated, strict=True)
        )
        if not fits or dataset.dtype.kind not in "iu":
            raise ValueError(
                f"{dataset.name} is {dataset.dtype} {stated}, expected integers {shape}"
            )
        stored = dataset.id.get_storage_size()
        if dataset.nbytes > max(MIN_CHECKED_BYTES, MAX_COMPRESSION * stored):
            raise ValueError(
                f"{dataset.name} claims {dataset.nbytes} bytes in {stored} stored ones"
            )
        return dataset[()].astype(np.int64)


def _dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """Return a dataset that lies in this very file."""
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.file.filename != file.filename:
        raise ValueError(f"{name} is no dataset of this file")
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"{name} takes its values from another file")
    return dataset
