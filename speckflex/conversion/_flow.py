"""What reaches a step of a forward pass: the senders of its spikes, their map, and obstacles."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from speckflex.conversion._prepared import INPUT, Sender

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.program.records import InputStage, Pair, Shape

__all__ = ["Flow", "Obstacle", "Stream", "concatenated", "merged", "pooled", "scaled"]


@dataclass(frozen=True)
class Obstacle:
    """Something that the chip can't do on the way to a layer.

    Args:
        rule: a short, stable name.
        message: what it is, in a sentence without the layer's name.
        remedy: what to do.
        layer: the name that the message begins with; None for the layer that reads the values.
        place: file and line of a function's call; "" where it is none.
    """

    rule: str
    message: str
    remedy: str
    layer: str | None = None
    place: str = ""


@dataclass(frozen=True)
class Stream:
    """The spikes of one sender.

    Args:
        sender: what sends, with the pooling so far and the first channel at the reader.
        stage: what the chip does to the network's input; None where a layer sends.
    """

    sender: Sender
    stage: InputStage | None = None


@dataclass(frozen=True)
class Flow:
    """The values of one step.

    Args:
        shape: (channel, y, x) of their map, whatever shape torch gives it.
        gains: for each channel, the factor of average pooling and of factors on the way.
        streams: the senders; several of them are added or concatenated.
        potentials: position of the weight layer whose potentials these are; None for spikes.
        passed: positions of the steps since the senders, in order.
        obstacles: what is in the way; they count where a layer reads the values.
    """

    shape: Shape
    gains: tuple[float, ...]
    streams: tuple[Stream, ...] = ()
    potentials: int | None = None
    passed: tuple[int, ...] = ()
    obstacles: tuple[Obstacle, ...] = ()

    @staticmethod
    def even(shape: Shape, streams: tuple[Stream, ...] = (), potentials: int | None = None) -> Flow:
        """Return values that nothing has multiplied."""
        return Flow(shape, (1.0,) * shape[0], streams, potentials)

    @property
    def senders(self) -> tuple[Sender, ...]:
        """What sends to a reader of these values."""
        return tuple(stream.sender for stream in self.streams)

    def blocked(self, *obstacles: Obstacle, shape: Shape | None = None) -> Flow:
        """Return the flow behind obstacles, on a map of another shape if one is given.

        Of the functions in one line, the first is named.
        """
        places = {item.place for item in self.obstacles if item.place}
        new = [item for item in obstacles if item.place not in places]
        flow = replace(self, obstacles=(*self.obstacles, *new))
        if shape is None or math.prod(shape) == math.prod(self.shape):
            return flow
        return replace(flow, shape=shape, gains=(1.0,) * shape[0])


def scaled(flow: Flow, factor: float) -> Flow:
    """Return a flow multiplied by a number."""
    return replace(flow, gains=tuple(gain * factor for gain in flow.gains))


def pooled(flow: Flow, window: Pair) -> Flow:
    """Return spikes of layers, summed over (y, x) windows; a part at the edge is dropped."""
    channels, y, x = flow.shape
    streams = tuple(replace(stream, sender=stream.sender.pooled(window)) for stream in flow.streams)
    return replace(flow, shape=(channels, y // window[0], x // window[1]), streams=streams)


def merged(flows: Sequence[Flow]) -> Flow:
    """Return the sum of flows; an obstacle where the chip can't add them."""
    together = _together(flows)
    shapes = {flow.shape for flow in flows}
    gains = {flow.gains for flow in flows}
    if len(shapes) > 1:
        return together.blocked(
            Obstacle(
                "merge",
                f"it reads a merge of maps with the shapes {sorted(shapes)}",
                "merge maps of one shape",
            )
        )
    if len(gains) > 1:
        factors = sorted({factor for gain in gains for factor in gain})
        return together.blocked(
            Obstacle(
                "merge",
                f"it reads a merge of average pools with the factors {factors}",
                "use the same pooling on every branch, or SumPool2d",
            )
        )
    return together


def concatenated(flows: Sequence[Flow]) -> Flow:
    """Return flows side by side in their channels; an obstacle where their maps differ."""
    sizes = sorted({flow.shape[1:] for flow in flows})
    first, gains, streams = 0, [], []
    for flow in flows:
        streams += [
            replace(stream, sender=replace(stream.sender, shift=stream.sender.shift + first))
            for stream in flow.streams
        ]
        gains += flow.gains
        first += flow.shape[0]
    flow = replace(
        _together(flows),
        shape=(first, *flows[0].shape[1:]),
        gains=tuple(gains),
        streams=tuple(streams),
    )
    if len(sizes) == 1:
        return flow
    return flow.blocked(
        Obstacle(
            "concatenation",
            f"it reads a concatenation of maps with the sizes {sizes}, but the chip puts maps of"
            " one size side by side",
            "pool the larger map",
        )
    )


def _together(flows: Sequence[Flow]) -> Flow:
    """Return what several flows have in common, with the map of the first."""
    potentials = {flow.potentials for flow in flows}
    flow = replace(
        flows[0],
        streams=tuple(stream for flow in flows for stream in flow.streams),
        passed=tuple(dict.fromkeys(place for flow in flows for place in flow.passed)),
        obstacles=tuple(dict.fromkeys(item for flow in flows for item in flow.obstacles)),
    )
    if potentials == {None}:
        return flow
    return flow.blocked(
        Obstacle(
            "merge",
            "it reads a sum of potentials, but the chip merges only spikes",
            "put a neuron layer after each weight layer and merge after it",
        )
    )


def sends_once(flow: Flow) -> bool:
    """Return whether each sender sends one time, and the input sends alone."""
    layers = [sender.layer for sender in flow.senders]
    return len(set(layers)) == len(layers) and (INPUT not in layers or len(layers) == 1)
