"""A NIR graph as its file has it: nodes with their fields by name, and edges."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

__all__ = ["Graph", "Node"]


@dataclass(frozen=True, eq=False)
class Node:
    """A node of a graph, nothing of it interpreted.

    Args:
        kind: the node's type, such as "Conv2d".
        fields: numbers as arrays of any shape, text as str.
        metadata: text and numbers that the writer left beside the node.
    """

    kind: str
    fields: Mapping[str, np.ndarray | str]
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Graph:
    """A graph, or a graph inside another one.

    Args:
        nodes: by name, in the file's order.
        edges: pairs of names, (from, to), each pair once.
        version: of the nir package whose definitions the file follows; "" where it does not say.
    """

    nodes: Mapping[str, Node | Graph]
    edges: tuple[tuple[str, str], ...]
    version: str = ""
