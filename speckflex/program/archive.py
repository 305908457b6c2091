"""The `.speck` file: a zip of one JSON manifest and npy arrays, never a pickle."""

from __future__ import annotations

import io
import json
import lzma
import math
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex._support.files import suffix_problem, write_whole
from speckflex.errors import ConversionError, FileFormatError
from speckflex.program.event_filter import EventFilter
from speckflex.program.program import Program
from speckflex.program.records import ARRAYS, Core, Destination, InputStage
from speckflex.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FORMATS", "load_program", "save_program"]

# 2 has an event filter; without one a file is of format 1, which every speckflex reads.
FORMATS = (1, 2)
MANIFEST = "manifest.json"
# A manifest names a handful of layers; a damaged or hostile one must not fill the memory.
MAX_MANIFEST_BYTES = 16 * 2**20
NPY_HEADER_BYTES = 4096
# Far above any layer: the largest of the published nets has 2.4 million weights.
MAX_ARRAY_BYTES = 2**29
# What wrong names, types and numbers in a manifest raise on their way into a Program.
CONTENT_ERRORS = (
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    IndexError,
    OverflowError,
    ConversionError,
)
# What zipfile raises on foreign, cut, locked or exotic archives.
ZIP_ERRORS = (
    zipfile.BadZipFile,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,
    RuntimeError,
)
# A fixed date, so that the same program gives the same file.
ZIP_DATE = (1980, 1, 1, 0, 0, 0)


def save_program(program: Program, path: str | Path) -> None:
    """Write `program` to `path`; the same program gives the same bytes.

    Raises:
        FileFormatError: `path` has the suffix of another format.
    """
    problem = suffix_problem(path, ".speck")
    if problem:
        raise FileFormatError(problem)
    manifest = {
        "format": _format(program),
        "speckflex": __version__,
        "sha256": program.sha256,
        "program": program.manifest(),
        "metadata": dict(program.metadata),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        _write_member(archive, MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode())
        for name, array in _arrays(program):
            content = io.BytesIO()
            np.save(content, array, allow_pickle=False)
            _write_member(archive, name, content.getvalue())
    write_whole(path, buffer.getvalue(), FileFormatError)


def load_program(path: str | Path) -> Program:
    """Read the program at `path` and check it against its own hash.

    Raises:
        FileFormatError: the file is missing, damaged, too new or doesn't match its hash.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = _read_manifest(archive, path)
            program = _assemble(archive, manifest, path)
    except OSError as error:
        raise FileFormatError(
            f"{path}: can't be read ({error.strerror or error}): check the path"
        ) from error
    except ZIP_ERRORS as error:
        raise FileFormatError(
            f"{path}: not a .speck file, or cut short ({error}): convert the network again"
        ) from error
    stated = str(manifest.get("sha256"))
    if program.sha256 != stated:
        raise FileFormatError(
            f"{path}: its contents have the hash {program.sha256[:12]}, its manifest says"
            f" {stated[:12]}: the file was altered, convert the network again"
        )
    return program


def _format(program: Program) -> int:
    return 1 if program.input.event_filter is None else 2


def _arrays(program: Program) -> Iterator[tuple[str, np.ndarray]]:
    for index, core in enumerate(program.cores):
        for name in ARRAYS:
            array = getattr(core, name)
            if array is not None:
                yield f"cores/{index}/{name}.npy", array


def _write_member(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    member = zipfile.ZipInfo(name, ZIP_DATE)
    member.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(member, content)


def _read_manifest(archive: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    if MANIFEST not in archive.namelist():
        raise FileFormatError(f"{path}: has no {MANIFEST}, so it is no .speck file: convert again")
    try:
        manifest = json.loads(_read_member(archive, MANIFEST, MAX_MANIFEST_BYTES, path))
    except (ValueError, RecursionError) as error:
        raise FileFormatError(
            f"{path}: its {MANIFEST} is no JSON ({error}): convert the network again"
        ) from error
    version = manifest.get("format") if isinstance(manifest, dict) else None
    if version is True or version not in FORMATS:
        known = " and ".join(map(str, FORMATS))
        raise FileFormatError(
            f"{path}: has format {version!r}, this speckflex reads {known}:"
            " update speckflex or convert again"
        )
    return manifest


def _read_member(archive: zipfile.ZipFile, name: str, limit: int, path: Path) -> bytes:
    """Read at most `limit` bytes of a member, whatever its header claims."""
    with archive.open(name) as member:
        content = member.read(limit + 1)
    if len(content) > limit:
        raise FileFormatError(
            f"{path}: {name} unpacks to more than the {limit} bytes its manifest allows:"
            " the file is damaged, convert the network again"
        )
    return content


def _assemble(archive: zipfile.ZipFile, manifest: dict[str, Any], path: Path) -> Program:
    try:
        stated = manifest["program"]
        cores = [
            _core(archive, index, values, path) for index, values in enumerate(stated["cores"])
        ]
        metadata = {str(name): str(value) for name, value in manifest["metadata"].items()}
        return Program(tuple(cores), _input_stage(stated["input"]), stated["chip"], metadata)
    except CONTENT_ERRORS as error:
        raise FileFormatError(
            f"{path}: its contents make no program ({error}): convert the network again"
        ) from error


def _core(archive: zipfile.ZipFile, index: int, values: dict[str, Any], path: Path) -> Core:
    arrays: dict[str, Any] = {
        name: _array(archive, f"cores/{index}/{name}.npy", values[name], path)
        for name in ARRAYS
        if values[name] is not None
    }
    settings = {name: _tupled(value) for name, value in values.items() if name not in ARRAYS}
    settings["destinations"] = _destinations(values["destinations"])
    return Core(**settings, **arrays)


def _array(archive: zipfile.ZipFile, name: str, stated: dict[str, Any], path: Path) -> np.ndarray:
    dtype, shape = np.dtype(stated["dtype"]), tuple(stated["shape"])
    size = dtype.itemsize * math.prod(shape)
    limit = min(max(size, 0), MAX_ARRAY_BYTES) + NPY_HEADER_BYTES
    content = io.BytesIO(_read_member(archive, name, limit, path))
    array = np.lib.format.read_array(content, allow_pickle=False)
    if array.dtype != dtype or array.shape != shape:
        raise FileFormatError(
            f"{path}: {name} holds {array.dtype.name} {array.shape}, its manifest says"
            f" {dtype.name} {shape}: the file is damaged, convert the network again"
        )
    return array


def _input_stage(values: dict[str, Any]) -> InputStage:
    settings = {name: _tupled(value) for name, value in values.items()}
    settings["destinations"] = _destinations(values["destinations"])
    if settings.get("event_filter") is not None:
        stated = settings["event_filter"]
        settings["event_filter"] = EventFilter(**{k: _tupled(v) for k, v in stated.items()})
    return InputStage(**settings)


def _destinations(values: list[dict[str, int]]) -> tuple[Destination, ...]:
    return tuple(Destination(**value) for value in values)


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
