"""The routes between the layers of a network, with what the chip can't do on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from speckflex.fitting.checks import CheckList
    from speckflex.networks.forward_pass import ForwardPass, Route, Step

__all__ = ["Routes"]

# Steps that change no spike, so that the chip needs nothing for them.
PASSING = frozenset({"shaping", "dropped", "time", "merge"})
POOLING = frozenset({"pooling", "input stage"})


class Routes:
    """The routes between layers; refuses each step on them that the chip lacks.

    Args:
        forward: the network's forward pass.
        findings: collects what is refused.

    Attributes:
        met: names of the layers on the routes that were asked for.
    """

    def __init__(self, forward: ForwardPass, findings: CheckList) -> None:
        self._forward, self._findings = forward, findings
        self.met: set[str] = set()

    def into(self, position: int) -> list[Route]:
        """Return the routes by which values reach a layer from weights, neurons or the input."""
        reader = self._forward.steps[position]
        routes = self._forward.routes(position)
        for route in routes:
            for place in reversed(route.between):
                self._check_step(self._forward.steps[place], reader)
        return routes

    def pools(self, route: Route) -> list[tuple[str, nn.Module]]:
        """Return name and layer of the poolings and input stages on a route, in order."""
        steps = [self._forward.steps[place] for place in route.between]
        return [(step.name, step.layer) for step in steps if step.layer and step.role in POOLING]

    def readers(self, position: int) -> list[int]:
        """Return the neurons that read a weight layer, refusing other readers."""
        readers = []
        for neurons in self._forward.positions("neurons"):
            routes = self.into(neurons)
            if any(route.origin == position for route in routes):
                readers.append(neurons)
                self._check_alone(self._forward.steps[neurons], routes)
        if len(readers) > 1:
            self._findings.refuse(
                self._forward.steps[position].name,
                "neurons",
                f"{len(readers)} neuron layers read it, but a core has one",
                "give each its own weight layer",
            )
        return readers

    def _check_alone(self, neurons: Step, routes: list[Route]) -> None:
        """Refuse merges and poolings between neurons and the weight layer that they read."""
        if len(routes) > 1:
            self._findings.refuse(
                neurons.name,
                "merge",
                "it reads a sum of potentials, but the chip merges only spikes",
                "put a neuron layer after each weight layer and merge after it",
            )
            return
        for name, _ in self.pools(routes[0])[:1]:
            self._findings.refuse(
                name,
                "pooling",
                f"it pools between the weights and the neurons {neurons.name}",
                "put the pooling after the neurons",
            )

    def _check_step(self, step: Step, reader: Step) -> None:
        """Refuse a step that the chip can't do."""
        if step.layer is not None:
            self.met.add(step.name)
        if step.role in PASSING or step.role in POOLING:
            return
        if step.layer is None:
            place = f" ({step.place})" if step.place else ""
            self._findings.refuse(
                reader.name,
                "function",
                f"torch's {step.name} runs before it{place}, but the chip has no such step",
                "use layers: Conv2d, Linear, IAFSqueeze, AvgPool2d, SumPool2d, Merge, Flatten",
            )
            return
        kind = type(step.layer).__name__
        if step.role != "norm":
            remedy = "leave it out, or use layers that the chip has"
            if step.role == "relu":
                remedy = "make the network spiking with sinabs.from_torch.from_model"
            self._findings.refuse(step.name, "layer kind", f"the chip has no {kind}", remedy)
        elif not _is_identity(step.copied):
            self._findings.refuse(
                step.name,
                "batch norm",
                f"the chip has no {kind}",
                "fold it first with speckflex fold",
            )


def _is_identity(norm: Any) -> bool:
    """Return whether a batch norm in evaluation mode returns what it is given."""
    if norm.running_mean is None or norm.running_var is None:
        return False
    gain = (norm.running_var + norm.eps).rsqrt()
    shift = -norm.running_mean * gain
    if norm.affine:
        gain, shift = gain * norm.weight, shift * norm.weight + norm.bias
    return bool((gain == 1).all() and (shift == 0).all())
