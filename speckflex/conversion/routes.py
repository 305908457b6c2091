"""By which ways values reach a layer: what lies between it and the layers that send to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import sinabs.layers as sl
from torch import nn

from speckflex.conversion.layer_kinds import (
    DROPOUTS,
    NORMS,
    PASSING,
    POOLINGS,
    is_identity_norm,
    is_weight,
)
from speckflex.conversion.trace import DVSLayer, NeuronPlace, Node

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.fitting.findings import Findings

__all__ = ["Route", "Routes"]


@dataclass(frozen=True)
class Route:
    """One way by which values reach a layer: from `node` through `steps`.

    Args:
        node: position of the network's input, of a weight layer or of neurons.
        steps: (name, module) of the poolings and input layers on the way, in order.
    """

    node: int
    steps: tuple[tuple[str, nn.Module], ...] = ()


class Routes:
    """The ways through a network; what no way leads through is refused.

    Args:
        nodes: the network's calls, in order.
        findings: takes in what is refused.

    Attributes:
        norms: names of the batch norms that were met on the way.
    """

    def __init__(self, nodes: Sequence[Node], findings: Findings) -> None:
        self._nodes, self._findings = nodes, findings
        self.norms: set[str] = set()

    def into(self, node: Node) -> list[Route]:
        """Return the ways by which values reach a layer from neurons or the input."""
        return self._through(node.inputs[0], node.name)

    def readers(self, index: int) -> list[int]:
        """Return the neurons that read the weight layer at `index`, refusing other readers."""
        readers = []
        for position, node in enumerate(self._nodes):
            if not isinstance(node.module, NeuronPlace):
                continue
            routes = self.into(node)
            if any(route.node == index for route in routes):
                readers.append(position)
                self._check_alone(node, routes)
        if len(readers) > 1:
            self._findings.refuse(
                self._nodes[index].name,
                "neurons",
                f"{len(readers)} neuron layers read it, a core has one",
                "give each its own weight layer",
            )
        return readers

    def _check_alone(self, neurons: Node, routes: list[Route]) -> None:
        """Refuse whatever lies between neurons and the weight layer that they read."""
        if len(routes) > 1:
            self._findings.refuse(
                neurons.name,
                "merge",
                "it reads a sum of potentials, the chip only merges spikes",
                "put a neuron layer after each weight layer and merge after it",
            )
        elif routes[0].steps:
            self._findings.refuse(
                routes[0].steps[0][0],
                "pooling",
                f"pools between weights and neurons of {neurons.name}",
                "put the pooling after the neurons",
            )

    def _through(self, index: int, reader: str) -> list[Route]:
        """Return the ways to the output of a call, for the layer called `reader`."""
        node = self._nodes[index]
        module = node.module
        if node.kind == "input" or is_weight(node) or isinstance(module, NeuronPlace):
            return [Route(index)]
        if node.kind == "merge":
            return [route for source in node.inputs for route in self._through(source, reader)]
        if isinstance(module, (*POOLINGS, DVSLayer)):
            step = (node.name, module)
            routes = self._through(node.inputs[0], reader)
            return [replace(route, steps=(*route.steps, step)) for route in routes]
        if isinstance(module, NORMS):
            self._pass_norm(node, module)
        elif not isinstance(module, (*PASSING, *DROPOUTS)):
            self._refuse_step(node, reader)
        return self._through(node.inputs[0], reader)

    def _pass_norm(self, node: Node, norm: nn.Module) -> None:
        self.norms.add(node.name)
        if not is_identity_norm(norm):
            self._findings.refuse(
                node.name,
                "batch norm",
                f"{type(norm).__name__} is still in place, the chip has none",
                "fold it first: speckflex fold",
            )

    def _refuse_step(self, node: Node, reader: str) -> None:
        if node.module is None:
            self._findings.refuse(
                reader,
                "function",
                f"torch's {node.name} runs in front of it, the chip has no such step",
                "use layers: Conv2d, Linear, IAFSqueeze, AvgPool2d, SumPool2d, Merge, Flatten",
            )
            return
        kind = type(node.module).__name__
        relu = isinstance(node.module, (nn.ReLU, sl.NeuromorphicReLU))
        remedy = (
            "turn the network into a spiking one with sinabs.from_torch.from_model"
            if relu
            else "leave it out, or use layers the chip has"
        )
        self._findings.refuse(node.name, "layer kind", f"{kind} is not on the chip", remedy)
