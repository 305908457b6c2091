"""The fields of NIR nodes: which there are, and their values in one form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speckflex._support.text import shown
from speckflex.errors import FileFormatError, NetworkError

if TYPE_CHECKING:
    from speckflex.networks.nir._records import Node

__all__ = ["check_fields", "numbers", "one_number", "pair", "sizes"]

# Every field that a version of nir (0.1 to 1.0.8) writes for the nodes that are taken.
CONVOLUTION = {"weight", "bias", "stride", "padding", "dilation", "groups", "input_shape"}
POOLING = {"kernel_size", "stride", "padding"}
KNOWN = {
    "Affine": {"weight", "bias"},
    "Linear": {"weight"},
    "Conv2d": CONVOLUTION,
    "SumPool2d": POOLING,
    "AvgPool2d": POOLING,
    "Flatten": {"start_dim", "end_dim"},
    "Scale": {"scale"},
    "Delay": {"delay"},
    "IF": {"r", "v_threshold", "v_reset"},
    "LIF": {"tau", "r", "v_leak", "v_threshold", "v_reset"},
}
# They say what shape the values have that pass through, and nothing of what is computed.
DESCRIBING = {"input_type", "output_type", "shape"}
# Far beyond the chip's limits, which the conversion names; what is larger is no geometry.
LARGEST_SIZE = 1024


def check_fields(where: str, node: Node) -> None:
    """Check that a node has no field that is not known: it may change what the node computes.

    Args:
        where: the node, as messages begin.
        node: of a type in the table above.
    """
    for name in node.fields:
        if name not in KNOWN[node.kind] | DESCRIBING:
            raise NetworkError(
                f"{where} has a field {shown(name)}, which speckflex does not know and which may"
                f" change what the node computes: export a {node.kind} without it"
            )


def numbers(where: str, node: Node, name: str) -> np.ndarray:
    """Return a field's numbers as float64, in the shape that the file has."""
    value = node.fields.get(name)
    if value is None:
        raise FileFormatError(f"{where} has no field {name}: export the graph again")
    if isinstance(value, str):
        raise FileFormatError(
            f"{where} has the text {shown(value[:20])!r} as {name} in place of numbers: export the"
            " graph again"
        )
    return value.astype(np.float64)


def one_number(where: str, node: Node, name: str) -> float:
    """Return the number that a field says of all neurons."""
    values = numbers(where, node, name)
    if not values.size:
        raise FileFormatError(f"{where} has an empty field {name}: export the graph again")
    if np.isnan(values).any():
        raise NetworkError(f"{where} has values in {name} that are no numbers: export it again")
    low, high = float(values.min()), float(values.max())
    if low != high:
        raise NetworkError(
            f"{where} has {name} from {low:g} to {high:g}: the neurons of a layer on Speck share"
            " one value, export one for all"
        )
    return low


def sizes(where: str, node: Node, name: str, *, least: int) -> tuple[int, ...]:
    """Return a field's whole numbers, each at least `least`; a single one makes a tuple too."""
    values = numbers(where, node, name).reshape(-1)
    # not a number fails every comparison
    if not np.all((values >= least) & (values <= LARGEST_SIZE) & (values == np.floor(values))):
        raise NetworkError(
            f"{where} has {name} {_listed(values)}: give whole numbers from {least} to"
            f" {LARGEST_SIZE}"
        )
    return tuple(int(value) for value in values)


def pair(where: str, node: Node, name: str, *, least: int) -> tuple[int, int]:
    """Return a field's (y, x); one whole number counts for both."""
    found = sizes(where, node, name, least=least)
    if len(found) not in {1, 2}:
        raise NetworkError(
            f"{where} has {len(found)} values as {name}: give one number, or one for y and x each"
        )
    return found[0], found[-1]


def _listed(values: np.ndarray) -> str:
    return ", ".join(f"{value:g}" for value in values[:4]) + (", ..." if values.size > 4 else "")
