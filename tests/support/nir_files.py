"""NIR files written field by field with h5py, without the nir package, valid ones and others."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

FLOAT = np.float32


def node(kind: str, **fields: Any) -> dict[str, Any]:
    """Return a node of that type."""
    return {"type": kind, **fields}


def conv(weight: np.ndarray, **fields: Any) -> dict[str, Any]:
    """Return a convolution; what is not given has the value that changes nothing."""
    usual = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": np.zeros(len(weight))}
    return node("Conv2d", weight=weight.astype(FLOAT), **{**usual, **fields})


def neurons(*shape: int, kind: str = "IF", **fields: Any) -> dict[str, Any]:
    """Return neurons of threshold 1."""
    return node(kind, **{"r": np.ones(shape), "v_threshold": np.ones(shape), **fields})


def linear(weight: np.ndarray) -> dict[str, Any]:
    """Return a linear layer without a bias."""
    return node("Linear", weight=weight.astype(FLOAT))


def graph(nodes: dict[str, Any], edges: list[tuple[str, str]] | None = None) -> dict[str, Any]:
    """Return a graph of the nodes, in a row unless edges are given."""
    pairs = list(pairwise(nodes)) if edges is None else edges
    return node("NIRGraph", nodes=nodes, edges=np.array(pairs, dtype=object))


def between_ends(shape: tuple[int, ...] | None, **nodes: Any) -> dict[str, Any]:
    """Return the nodes in a row between an Input of that shape and an Output."""
    first = node("Input") if shape is None else node("Input", shape=np.array(shape))
    return graph({"input": first, **nodes, "output": node("Output", shape=np.array([1]))})


def write(path: Path, content: dict[str, Any], version: str | None = "1.0.8") -> Path:
    """Write a graph, or a node, as a NIR file."""
    with h5py.File(path, "w") as file:
        if version is not None:
            file["version"] = version
        _fill(file.create_group("node"), content)
    return path


def _fill(group: h5py.Group, fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        if isinstance(value, dict):
            _fill(group.create_group(name), value)
        else:
            group[name] = value
