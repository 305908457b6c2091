"""The map that a weight layer reads, from the network's input or from other layers' neurons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from speckflex.conversion._input_stage import input_stage
from speckflex.conversion._pooling import pool_of
from speckflex.conversion._prepared import INPUT, Sender
from speckflex.errors import ConversionError
from speckflex.networks.layer_kinds import kind_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from speckflex.conversion._routes import Routes
    from speckflex.fitting.checks import CheckList
    from speckflex.networks.forward_pass import ForwardPass, Route
    from speckflex.program.records import InputStage, Shape

    Steps = Sequence[tuple[str, nn.Module]]

__all__ = ["LayerInput", "LayerInputs"]


@dataclass(frozen=True)
class LayerInput:
    """The map that a weight layer reads.

    Args:
        shape: (channel, y, x) of the map.
        senders: what sends to it; several are merged.
        factor: of average pooling on the routes; the layer's weights must be multiplied by it.
    """

    shape: Shape
    senders: tuple[Sender, ...]
    factor: float


@dataclass(frozen=True)
class _Arrival:
    """The map that reaches a layer by one route."""

    shape: Shape
    sender: Sender
    factor: float


class LayerInputs:
    """Finds the map that each layer reads, in the order of the layers, or refuses it.

    Args:
        forward: the network's forward pass.
        routes: between its layers.
        input_shape: (channel, y, x) of the events.
        findings: collects what is refused.

    Attributes:
        stage: what the chip does to the input; None while no layer reads it.
    """

    def __init__(
        self, forward: ForwardPass, routes: Routes, input_shape: Shape, findings: CheckList
    ) -> None:
        self._forward, self._routes = forward, routes
        self._input_shape, self._findings = input_shape, findings
        self._layers: dict[int, tuple[int, Shape]] = {}
        self.stage: InputStage | None = None

    def let_send(self, neurons: Sequence[int], layer: int, shape: Shape) -> None:
        """Record that neurons belong to a layer, with a map of (channel, y, x)."""
        self._layers |= dict.fromkeys(neurons, (layer, shape))

    def sends(self, neurons: int) -> bool:
        """Return whether it is recorded that neurons belong to a layer."""
        return neurons in self._layers

    def of(self, position: int) -> LayerInput | None:
        """Return the map that a weight layer reads; None where the chip can't send it."""
        routes = self._routes.into(position)
        name = self._forward.steps[position].name
        found = [self._by(route, name) for route in routes]
        arrivals = [arrival for arrival in found if arrival is not None]
        if len(arrivals) < len(routes) or not self._agree(name, arrivals):
            return None
        senders = tuple(arrival.sender for arrival in arrivals)
        return LayerInput(arrivals[0].shape, senders, arrivals[0].factor)

    def _by(self, route: Route, reader: str) -> _Arrival | None:
        """Return the map of one route; None where the chip can't send it."""
        origin, steps = self._forward.steps[route.origin], self._routes.pools(route)
        try:
            if origin.role == "input":
                return self._from_input(steps)
            if route.origin in self._layers:
                return _from_layer(steps, *self._layers[route.origin])
        except ConversionError as error:
            self._findings.refuse_error(steps[0][0] if steps else reader, "pooling", error)
            return None
        if origin.role == "weights":
            self._findings.refuse(
                origin.name,
                "neurons",
                f"no neuron layer lies between it and {reader}",
                "put an IAFSqueeze after it",
            )
        return None

    def _from_input(self, steps: Steps) -> _Arrival:
        stage, factor = input_stage(self._input_shape, [layer for _, layer in steps])
        if self.stage not in (None, stage):
            raise ConversionError(
                "the network's input is pooled or cropped in two ways, but the chip has one input"
                " stage: pool and crop the input once"
            )
        self.stage = stage
        return _Arrival(stage.output_shape, Sender(INPUT), factor)

    def _agree(self, name: str, arrivals: Sequence[_Arrival]) -> bool:
        """Return whether the chip can merge the maps; refuse the merge where it can't."""
        shapes = {arrival.shape for arrival in arrivals}
        factors = {arrival.factor for arrival in arrivals}
        senders = [arrival.sender.layer for arrival in arrivals]
        if len(shapes) > 1:
            self._findings.refuse(
                name,
                "merge",
                f"it reads a merge of maps with the shapes {sorted(shapes)}",
                "merge maps of one shape",
            )
        if len(factors) > 1:
            self._findings.refuse(
                name,
                "merge",
                f"it reads a merge of average pools with the factors {sorted(factors)}",
                "use the same pooling on every branch, or SumPool2d",
            )
        if len(set(senders)) < len(senders) or (INPUT in senders and len(senders) > 1):
            self._findings.refuse(
                name,
                "merge",
                "it merges the network's input with spikes, or one layer with itself",
                "merge the spikes of different layers",
            )
            return False
        return len(shapes) == len(factors) == 1


def _from_layer(steps: Steps, layer: int, shape: Shape) -> _Arrival:
    channels, y, x = shape
    pooling, factor = (1, 1), 1.0
    for name, module in steps:
        if kind_of(module).role == "input stage":
            raise ConversionError(f"the DVSLayer {name} is not at the input: put it first")
        window, share = pool_of(module, (channels, y, x))
        pooling = (pooling[0] * window[0], pooling[1] * window[1])
        factor *= share
        y, x = y // window[0], x // window[1]
    if pooling[0] != pooling[1]:
        raise ConversionError(
            f"pools by {pooling}, but the chip pools only squares: use equal sides"
        )
    return _Arrival((channels, y, x), Sender(layer, pooling), factor)
