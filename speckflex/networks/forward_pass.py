"""What a network computes: the record of its forward pass, step by step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from speckflex.networks.layer_kinds import Role

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ForwardPass", "Hidden", "Route", "Step", "StepRole"]

StepRole = Role | Literal["input", "function", "concat", "scale"]

# What a route begins at: values are made there, and only passed on elsewhere.
MAP_AXES = 3
ORIGINS = ("input", "weights", "neurons")


@dataclass(frozen=True)
class Step:
    """One step of a forward pass.

    Args:
        name: the layer's path in the network, "" for the network itself; else the function's name.
        layer: the layer that is called; None for the input and for functions.
        role: the layer's, by the table of layer kinds; a function that keeps all values is
            "shaping", one that adds two tensors "merge", one that puts tensors side by side in
            their channels "concat", one that multiplies by a number "scale", any other "function".
        inputs: positions of the steps whose values it reads.
        shape: of its output without the batch axis; None where the input's shape is not known.
        place: file and line of a function's call; "" where they are not known.
        copied: the layer's copy that ran: in float32, on the CPU, in evaluation mode.
        factor: the number that a "scale" multiplies by.
        is_function: whether the layer only stands for a function that does the same.
    """

    name: str
    layer: nn.Module | None
    role: StepRole
    inputs: tuple[int, ...] = ()
    shape: tuple[int, ...] | None = None
    place: str = ""
    copied: nn.Module | None = None
    factor: float = 1.0
    is_function: bool = False

    @property
    def title(self) -> str:
        """The layer's name, with the place of a function that has no name of its own."""
        return f"{self.name} ({self.place})" if self.is_function and self.place else self.name

    @property
    def values(self) -> tuple[int, int, int] | None:
        """The map of its output, a row of n values as n channels; None where it is not known."""
        if self.map is not None or self.shape is None:
            return self.map
        return math.prod(self.shape), 1, 1

    @property
    def map(self) -> tuple[int, int, int] | None:
        """(channel, y, x) of its output; None where it is a row of values, or not known."""
        if self.shape is None or len(self.shape) < MAP_AXES:
            return None
        channel, y, x = self.shape[-MAP_AXES:]
        return channel, y, x


@dataclass(frozen=True)
class Hidden:
    """Something in a forward pass that a record of its steps can't show.

    Args:
        rule: "values", "state", "random" or "in place".
        what: what the forward pass does, to follow "its forward pass".
        remedy: what to do.
        place: file and line; "" where they are not known.
        severity: "error" where the record is not the network, "warning" where it may not be.
    """

    rule: str
    what: str
    remedy: str
    place: str = ""
    severity: Literal["error", "warning"] = "error"

    @property
    def message(self) -> str:
        """What the forward pass does and where, in one sentence."""
        return f"its forward pass {self.what}{f' ({self.place})' if self.place else ''}"


@dataclass(frozen=True)
class Route:
    """One way by which values reach a step.

    Args:
        origin: position of the input, the weight layer or the neurons that it begins at.
        between: positions of the steps after it, in order.
    """

    origin: int
    between: tuple[int, ...] = ()


@dataclass(frozen=True)
class ForwardPass:
    """The steps of a forward pass, in the order in which they run.

    Args:
        steps: the first is the network's input; each reads only steps before it.
        outputs: positions of the steps whose values the network returns.
        loose_tensors: names of parameters and buffers that the forward pass uses directly,
            without calling the layer that they belong to.
        hidden: what these steps can't show.
        leading: number of axes before the channels of the input: 1 for (batch * time), 2 for
            (batch, time).
    """

    steps: tuple[Step, ...]
    outputs: tuple[int, ...] = ()
    loose_tensors: tuple[str, ...] = ()
    hidden: tuple[Hidden, ...] = ()
    leading: int = 1

    @property
    def value_uses(self) -> tuple[str, ...]:
        """File and line where the forward pass asks for values, to decide by them."""
        return tuple(found.place for found in self.hidden if found.rule == "values")

    def positions(self, *roles: StepRole) -> list[int]:
        """Return the positions of the steps with one of these roles."""
        return [position for position, step in enumerate(self.steps) if step.role in roles]

    def n_calls(self, name: str) -> int:
        """Return how often the forward pass calls the layer of that name."""
        return sum(step.layer is not None and step.name == name for step in self.steps)

    def consumers(self, position: int) -> list[int]:
        """Return the positions of the steps that read a step's values."""
        return self._consumers[position]

    @cached_property
    def _consumers(self) -> list[list[int]]:
        consumers: list[list[int]] = [[] for _ in self.steps]
        for position, step in enumerate(self.steps):
            for read in dict.fromkeys(step.inputs):
                consumers[read].append(position)
        return consumers

    def leading_to_outputs(self) -> set[int]:
        """Return the positions of the steps that the network's outputs depend on."""
        found: set[int] = set()
        waiting = list(self.outputs)
        while waiting:
            position = waiting.pop()
            if position not in found:
                found.add(position)
                waiting += self.steps[position].inputs
        return found

    def routes(self, position: int) -> list[Route]:
        """Return the ways by which values reach a step from the input, weights or neurons.

        Of the tensors that a step reads, only a merge's are all followed; else the first.
        """
        step = self.steps[position]
        inputs = step.inputs if step.role == "merge" else step.inputs[:1]
        return [route for read in inputs for route in self._through(read)]

    def _through(self, position: int) -> list[Route]:
        if self.steps[position].role in ORIGINS:
            return [Route(position)]
        routes = self.routes(position)
        return [Route(route.origin, (*route.between, position)) for route in routes]
