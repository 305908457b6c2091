"""The Program: the integers that chip and twin both run, frozen and hashed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from speckflex.chips import Chip, find_chip
from speckflex.errors import ConversionError, FileFormatError
from speckflex.program._archive import Archive, open_archive, write_archive
from speckflex.program._display import program_html, program_line
from speckflex.program.records import (
    ARRAYS,
    Core,
    InputStage,
    check_input,
    core_from_plain,
    plain,
    plain_stage,
    stage_from_plain,
)
from speckflex.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy as np

    from speckflex.program.golden import Golden

__all__ = ["Program"]

# Format 2 has an event filter; a file without one has format 1, which every speckflex reads.
FORMATS = (1, 2)
# What wrong names, types and numbers in a manifest raise when a Program is made of them.
CONTENT_ERRORS = (
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    IndexError,
    OverflowError,
    ConversionError,
)


@dataclass(frozen=True, eq=False)
class Program:
    """A network as the chip runs it; layer i of a recording is `cores[i]`.

    Args:
        cores: in topological order: a destination always lies behind its sender.
        input: the stage before the first core.
        chip: the name of a known chip, such as "speck2e", "speck2f" or "unbounded" (any size,
            for the twin alone).
        metadata: what the program was made from; it is not part of the hash.
    """

    cores: tuple[Core, ...]
    input: InputStage
    chip: str = "speck2e"
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cores", tuple(self.cores))
        object.__setattr__(self, "metadata", MappingProxyType(dict(self.metadata)))
        _check_program(self)

    def __repr__(self) -> str:
        return program_line(self)

    def _repr_html_(self) -> str:
        return program_html(self)

    @property
    def chip_record(self) -> Chip:
        """The cores and limits of the chip that the program is for."""
        return find_chip(self.chip)

    @property
    def sha256(self) -> str:
        """The hash over all that a board sees: every integer, shape and placement."""
        digest = hashlib.sha256(json.dumps(self.manifest(), sort_keys=True).encode())
        for _, array in _arrays(self):
            digest.update(array.astype(f"<{array.dtype.str[1:]}").tobytes())
        return digest.hexdigest()

    def manifest(self) -> dict[str, Any]:
        """Return all but the arrays' values and the metadata, as plain JSON types."""
        return {
            "chip": self.chip,
            "input": plain_stage(self.input),
            "cores": [plain(core) for core in self.cores],
        }

    def save(self, path: str | Path, *, golden: Golden | None = None) -> None:
        """Write the program to a `.speck` file (a zip of JSON and npy, no pickle).

        Args:
            path: of the file.
            golden: known answers of the program; they are no part of its hash.

        Raises:
            FileFormatError: `path` can't be written, or has the suffix of another format.
        """
        manifest = {
            "format": 1 if self.input.event_filter is None else 2,
            "speckflex": __version__,
            "sha256": self.sha256,
            "program": self.manifest(),
            "metadata": dict(self.metadata),
        }
        arrays = dict(_arrays(self))
        if golden is not None:
            # readers that know no golden data leave it alone
            manifest["golden"] = golden.manifest(self.sha256)
            arrays |= golden.arrays()
        write_archive(path, manifest, arrays)

    @staticmethod
    def load(path: str | Path) -> Program:
        """Read a `.speck` file.

        Raises:
            FileFormatError: the file is missing, damaged, too new or doesn't match its hash.
        """
        with open_archive(path) as archive:
            _check_format(archive)
            program = _assemble(archive)
        stated = str(archive.manifest.get("sha256"))
        if program.sha256 != stated:
            raise FileFormatError(
                f"{path}: its contents have the hash {program.sha256[:12]}, its manifest says"
                f" {stated[:12]}: the file was altered, convert the network again"
            )
        return program


def _arrays(program: Program) -> Iterator[tuple[str, np.ndarray]]:
    """Return the arrays of all cores by their names in a file."""
    for index, core in enumerate(program.cores):
        for name in ARRAYS:
            array = getattr(core, name)
            if array is not None:
                yield f"cores/{index}/{name}.npy", array


def _check_format(archive: Archive) -> None:
    manifest = archive.manifest
    version = manifest.get("format") if isinstance(manifest, dict) else None
    if version is True or version not in FORMATS:
        known = " and ".join(map(str, FORMATS))
        raise FileFormatError(
            f"{archive.path}: has format {version!r}, this speckflex reads {known}:"
            " update speckflex or convert again"
        )


def _assemble(archive: Archive) -> Program:
    try:
        stated = archive.manifest["program"]
        cores = [_core(archive, index, values) for index, values in enumerate(stated["cores"])]
        metadata = {str(k): str(v) for k, v in archive.manifest["metadata"].items()}
        return Program(tuple(cores), stage_from_plain(stated["input"]), stated["chip"], metadata)
    except CONTENT_ERRORS as error:
        raise FileFormatError(
            f"{archive.path}: its contents make no program ({error}): convert the network again"
        ) from error


def _core(archive: Archive, index: int, values: dict[str, Any]) -> Core:
    arrays = {
        name: archive.array(f"cores/{index}/{name}.npy", values[name])
        for name in ARRAYS
        if values[name] is not None
    }
    return core_from_plain(values, arrays)


def _check_placement(program: Program) -> None:
    n_cores = len(program.chip_record.cores)
    placed = [core.chip_core for core in program.cores if core.chip_core is not None]
    if len(set(placed)) < len(placed) or any(index not in range(n_cores) for index in placed):
        raise ConversionError(
            f"the layers are on cores {placed}: each needs one of 0..{n_cores - 1} of its own"
        )


def _check_program(program: Program) -> None:
    if not program.cores:
        raise ConversionError("the program has no core: a network needs at least one layer")
    _check_placement(program)
    check_input(program.input)
    _check_destinations(program, "the input stage", -1, program.input)
    for index, core in enumerate(program.cores):
        _check_destinations(program, f"core {core.name}", index, core)


def _check_destinations(
    program: Program, source: str, index: int, sender: Core | InputStage
) -> None:
    """Check that each destination lies behind its sender and takes the shape that it is sent."""
    channels, y, x = sender.output_shape
    for destination in sender.destinations:
        if not index < destination.core < len(program.cores):
            raise ConversionError(
                f"{source} sends to core {destination.core} of {len(program.cores)}:"
                " a destination must lie further on in the program"
            )
        if destination.pooling < 1 or destination.feature_shift < 0:
            raise ConversionError(
                f"{source} sends with pooling {destination.pooling} and feature_shift"
                f" {destination.feature_shift}: they must be at least 1 and 0"
            )
        target = program.cores[destination.core]
        pooling = destination.pooling
        sent = (channels + destination.feature_shift, y // pooling, x // pooling)
        if sent[0] > target.input_shape[0] or sent[1:] != target.input_shape[1:]:
            raise ConversionError(
                f"{source} sends {sent} (channel, y, x) to {target.name}, which takes"
                f" {target.input_shape}: check pooling and input shape"
            )
