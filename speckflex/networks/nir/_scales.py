"""Scale nodes multiplied into the weights beside them, which is the same function."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from speckflex.errors import NetworkError
from speckflex.networks.nir._fields import numbers, sizes

if TYPE_CHECKING:
    from collections.abc import Callable

    from speckflex.networks.nir._records import Node

__all__ = ["without_scales"]

DENSE = {"Affine", "Linear"}
WEIGHTS = {"Conv2d", *DENSE}
# A factor of a channel passes through them.
POOLING = {"SumPool2d", "AvgPool2d"}
ADVICE = "multiply it into the weights beside it, or export the network without it"


def without_scales(
    chain: list[tuple[str, Node]], where: Callable[[str, Node], str]
) -> list[tuple[str, Node]]:
    """Return the chain with its Scale nodes multiplied into weights, in front or behind.

    Args:
        chain: (name, node) in order.
        where: how messages name a node.

    Raises:
        NetworkError: no weights stand where the scale could go, or they can't hold it.
    """
    chain = list(chain)
    while True:
        found = next((i for i, (_, node) in enumerate(chain) if node.kind == "Scale"), None)
        if found is None:
            return chain
        _multiply_in(chain, found, where)
        del chain[found]


def _multiply_in(
    chain: list[tuple[str, Node]], position: int, where: Callable[[str, Node], str]
) -> None:
    """Change the chain's node that takes the scale at `position`."""
    name, node = chain[position]
    scale = numbers(where(name, node), node, "scale")
    if np.all(scale == 1):
        return
    if position and chain[position - 1][1].kind in WEIGHTS:
        before, layer = chain[position - 1]
        chain[position - 1] = (before, _scaled_outputs(where(name, node), layer, scale))
        return
    between = set()
    for index in range(position + 1, len(chain)):
        after, layer = chain[index]
        if layer.kind in WEIGHTS:
            scaled = _scaled_inputs(where(name, node), layer, scale, pooled=bool(between & POOLING))
            chain[index] = (after, scaled)
            return
        if layer.kind not in {*POOLING, "Flatten"}:
            break
        between.add(layer.kind)
    raise NetworkError(
        f"{where(name, node)} scales values that no Conv2d or Linear takes or gives: {ADVICE}"
    )


def _scaled_outputs(where: str, layer: Node, scale: np.ndarray) -> Node:
    weight = numbers(where, layer, "weight")
    factors = _by_channel(where, scale, len(weight) if weight.ndim else 0)
    fields = {**layer.fields, "weight": (weight.T * factors).T}
    if "bias" in fields:
        fields["bias"] = numbers(where, layer, "bias") * factors
    return replace(layer, fields=fields)


def _scaled_inputs(where: str, layer: Node, scale: np.ndarray, *, pooled: bool) -> Node:
    weight = numbers(where, layer, "weight")
    if weight.ndim not in {2, 4}:
        return layer
    if layer.kind in DENSE:
        n_inputs = weight.shape[1]
        if scale.size in {1, n_inputs} and not pooled:
            factors = scale.reshape(-1)
        else:
            n_channels = len(scale) if scale.ndim and n_inputs % max(len(scale), 1) == 0 else 1
            channels = _by_channel(where, scale, n_channels)
            factors = np.repeat(channels, n_inputs // n_channels)
        return replace(layer, fields={**layer.fields, "weight": weight * factors})
    groups = sizes(where, layer, "groups", least=1)[0] if "groups" in layer.fields else 1
    out, own = weight.shape[:2]
    factors = _by_channel(where, scale, own * groups).reshape(groups, own)
    # Each output channel reads the inputs of its group.
    of_output = factors[np.arange(out) * groups // max(out, 1)]
    scaled = weight * of_output[:, :, None, None]
    return replace(layer, fields={**layer.fields, "weight": scaled})


def _by_channel(where: str, scale: np.ndarray, n_channels: int) -> np.ndarray:
    """Return a factor for each channel."""
    if scale.size == 1:
        return np.full(n_channels, scale.reshape(-1)[0])
    if scale.ndim and n_channels and len(scale) == n_channels:
        rows = scale.reshape(n_channels, -1)
        if np.all(rows == rows[:, :1]):
            return rows[:, 0]
    raise NetworkError(
        f"{where} has a scale of shape {scale.shape} that differs within a channel, or does not fit"
        f" {n_channels} channels: {ADVICE}"
    )
