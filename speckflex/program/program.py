"""The Program: the integers that chip and twin both run, frozen and hashed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from speckflex.chips.speck import CHIPS, CORES
from speckflex.errors import ConversionError
from speckflex.program.records import (
    ARRAYS,
    Core,
    InputStage,
    check_input,
    plain,
    plain_stage,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Program"]


@dataclass(frozen=True, eq=False)
class Program:
    """A network as the chip runs it; layer i of a recording is `cores[i]`.

    Args:
        cores: in topological order: a destination always points further on.
        input: the stage before the first core.
        chip: "speck2e", "speck2f" or "unbounded" (any size, for the twin alone).
        metadata: what the program came from; does not enter the hash.
    """

    cores: tuple[Core, ...]
    input: InputStage
    chip: str = "speck2e"
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cores", tuple(self.cores))
        object.__setattr__(self, "metadata", MappingProxyType(dict(self.metadata)))
        _check_program(self)

    @property
    def sha256(self) -> str:
        """The hash over all that a board sees: every integer, shape and placement."""
        digest = hashlib.sha256(json.dumps(self.manifest(), sort_keys=True).encode())
        for core in self.cores:
            for name in ARRAYS:
                array = getattr(core, name)
                if array is not None:
                    digest.update(array.astype(f"<{array.dtype.str[1:]}").tobytes())
        return digest.hexdigest()

    def manifest(self) -> dict[str, Any]:
        """Return all but the arrays' values and the metadata, as plain JSON types."""
        return {
            "chip": self.chip,
            "input": plain_stage(self.input),
            "cores": [plain(core) for core in self.cores],
        }

    def save(self, path: str | Path) -> None:
        """Write the program to a `.speck` file (a zip of JSON and npy, no pickle).

        Raises:
            FileFormatError: `path` can't be written, or has the suffix of another format.
        """
        from speckflex.program.archive import save_program

        save_program(self, path)

    @staticmethod
    def load(path: str | Path) -> Program:
        """Read a `.speck` file.

        Raises:
            FileFormatError: the file is missing, damaged, too new or doesn't match its hash.
        """
        from speckflex.program.archive import load_program

        return load_program(path)


def _check_placement(program: Program) -> None:
    placed = [core.chip_core for core in program.cores if core.chip_core is not None]
    if len(set(placed)) < len(placed) or any(index not in range(len(CORES)) for index in placed):
        raise ConversionError(
            f"the layers are on cores {placed}: each needs one of 0..{len(CORES) - 1} of its own"
        )


def _check_program(program: Program) -> None:
    if not program.cores:
        raise ConversionError("the program has no core: a network needs at least one layer")
    if program.chip not in CHIPS:
        raise ConversionError(
            f"chip {program.chip!r} is not known: choose one of {', '.join(CHIPS)}"
        )
    check_input(program.input)
    _check_placement(program)
    _check_destinations(program, "the input stage", -1, program.input)
    for index, core in enumerate(program.cores):
        _check_destinations(program, f"core {core.name}", index, core)


def _check_destinations(
    program: Program, source: str, index: int, sender: Core | InputStage
) -> None:
    """Check that each destination lies further on and takes the shape it is sent."""
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
