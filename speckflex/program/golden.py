"""Known answers of a program, inside its `.speck` file: inputs, what came out, and how surely."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex._support.text import shown_name
from speckflex.errors import FileFormatError
from speckflex.program._archive import open_archive

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from speckflex.program._archive import Archive

__all__ = ["Golden", "GoldenLayer"]

COLUMNS = ("t", "x", "y", "p")
MAX_SAMPLES = 1000
CONTENT_ERRORS = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)


@dataclass(frozen=True, eq=False)
class GoldenLayer:
    """What one layer answered to all samples.

    Args:
        name: of the layer.
        kind: "spikes" or "potential", what `values` are.
        values: `(sample, channel, y, x) int64`, numbers of spikes or potentials.
        floor: the spike difference up to which a board is no other than the twin: the sum of
            absolute differences from `values` over the sum of `values`.
    """

    name: str
    kind: str
    values: np.ndarray
    floor: float


@dataclass(frozen=True, eq=False)
class Golden:
    """A few inputs of a program and its answers.

    Args:
        samples: `(n, 4) int64` each, t (µs), x, y, p of the events.
        layers: in network order.
        torch: `(sample, class) float64`, the outputs of the network in torch; None without one.
        floor_from: what the floors come from, one sentence for each play.
        slow_clock: Hz at which the samples were played; None for no clock.
    """

    samples: tuple[np.ndarray, ...]
    layers: tuple[GoldenLayer, ...]
    torch: np.ndarray | None = None
    floor_from: tuple[str, ...] = ()
    slow_clock: float | None = None

    @property
    def events(self) -> list[np.ndarray]:
        """The samples as structured arrays, as boards take them."""
        kinds = [("t", np.int64), ("x", np.int16), ("y", np.int16), ("p", np.int16)]
        found = []
        for table in self.samples:
            events = np.zeros(len(table), kinds)
            for position, name in enumerate(COLUMNS):
                events[name] = table[:, position]
            found.append(events)
        return found

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all arrays by their names in a file."""
        named = {f"golden/samples/{i}.npy": one for i, one in enumerate(self.samples)}
        named |= {f"golden/layers/{i}.npy": layer.values for i, layer in enumerate(self.layers)}
        return named | ({} if self.torch is None else {"golden/torch.npy": self.torch})

    def manifest(self, program_sha256: str) -> dict[str, Any]:
        """Return all but the arrays' values, as plain JSON types, with a hash over everything.

        Args:
            program_sha256: of the program that gave the answers.
        """
        stated: dict[str, Any] = {
            "program_sha256": program_sha256,
            "samples": [_stated(one) for one in self.samples],
            "layers": [
                {"name": one.name, "kind": one.kind, "floor": one.floor, **_stated(one.values)}
                for one in self.layers
            ],
            "torch": None if self.torch is None else _stated(self.torch),
            "floor_from": list(self.floor_from),
            "slow_clock": self.slow_clock,
        }
        digest = hashlib.sha256(json.dumps(stated, sort_keys=True).encode())
        for array in self.arrays().values():
            digest.update(array.astype(f"<{array.dtype.str[1:]}").tobytes())
        return {**stated, "sha256": digest.hexdigest()}

    @staticmethod
    def load(path: str | Path) -> Golden | None:
        """Read the known answers of a `.speck` file; None if it has none.

        Raises:
            FileFormatError: the file is missing or damaged, or its answers were altered or are
                those of another program.
        """
        with open_archive(path) as archive:
            manifest = archive.manifest
            stated = manifest.get("golden") if isinstance(manifest, dict) else None
            if stated is None:
                return None
            try:
                golden = _assemble(archive, stated)
                same = golden.manifest(str(manifest["sha256"])) == stated
            except CONTENT_ERRORS as error:
                raise FileFormatError(
                    f"{path}: its known answers can't be read ({type(error).__name__}: {error}):"
                    " convert the network again with --golden"
                ) from error
        if not same:
            raise FileFormatError(
                f"{path}: its known answers do not match their hash, or are those of another"
                " program: convert the network again with --golden"
            )
        return golden


def _stated(array: np.ndarray) -> dict[str, Any]:
    return {"dtype": array.dtype.name, "shape": list(array.shape)}


def _assemble(archive: Archive, stated: Mapping[str, Any]) -> Golden:
    if len(stated["samples"]) > MAX_SAMPLES or len(stated["layers"]) > MAX_SAMPLES:
        raise ValueError(f"more than {MAX_SAMPLES} samples or layers")
    samples = [
        _typed(archive, f"golden/samples/{i}.npy", one, np.int64, (None, len(COLUMNS)))
        for i, one in enumerate(stated["samples"])
    ]
    n_samples = len(samples)
    layers = [
        GoldenLayer(
            name=shown_name(one["name"]),
            kind=shown_name(one["kind"]),
            values=_typed(
                archive, f"golden/layers/{i}.npy", one, np.int64, (n_samples, None, None, None)
            ),
            floor=_finite(one["floor"]),
        )
        for i, one in enumerate(stated["layers"])
    ]
    torch, clock = stated["torch"], stated["slow_clock"]
    return Golden(
        tuple(samples),
        tuple(layers),
        None
        if torch is None
        else _typed(archive, "golden/torch.npy", torch, np.float64, (n_samples, None)),
        tuple(shown_name(one) for one in stated["floor_from"]),
        None if clock is None else _finite(clock),
    )


def _finite(value: Any) -> float:
    """Return a number; a board would be within a floor that is infinite, whatever it does."""
    if not math.isfinite(value):
        raise ValueError(f"{value} is not finite")
    return float(value)


def _typed(
    archive: Archive,
    name: str,
    stated: Mapping[str, Any],
    dtype: type,
    shape: tuple[int | None, ...],
) -> np.ndarray:
    """Return an array of the file that has a type and a shape, None for any length of an axis."""
    array = archive.array(name, stated)
    fits = len(array.shape) == len(shape) and all(
        wanted in (None, length) for wanted, length in zip(shape, array.shape, strict=True)
    )
    if array.dtype != dtype or not fits:
        raise ValueError(f"{name} holds {array.dtype.name} {array.shape}")
    return array
