"""samna.specksim: layers in floating point, computed breadth-first, and their graph nodes.

Whether specksim's neuron may fire more than once on one event is not known; here it fires once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex.virtual._graph import BasicSinkNode, BasicSourceNode, Node, await_carried
from speckflex.virtual._records import Integer, Number, Record

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Block",
    "Convolution2d",
    "IntegrateAndFire",
    "SpecksimConvolutionalFilterNode",
    "SpecksimIAFFilterNode",
    "SpecksimSink",
    "SpecksimSource",
    "SpecksimSumPoolingFilterNode",
    "Spike",
    "SumPooling",
    "WeightedEvent",
]

SAMNA = "samna's reference, specksim.events; widths assumed"
# Events that are convolved at once: bounds the memory their weighted events take.
EVENTS_PER_BLOCK = 1024

Pair = tuple[int, int]  # y, x


class Spike(Record, source=SAMNA):
    """A spike; y comes before x."""

    __slots__ = ()
    namespace = "specksim::events"
    feature = Integer("uint32")
    y = Integer("uint32")
    x = Integer("uint32")
    timestamp = Integer("int64", within=range(2**63))  # µs


class WeightedEvent(Spike, source=SAMNA):
    """What a convolution sends to its neurons."""

    __slots__ = ()
    weight = Number()


@dataclass(frozen=True, eq=False)
class Block:
    """Events as columns of equal length; `weight` is 1 for spikes."""

    feature: np.ndarray
    y: np.ndarray
    x: np.ndarray
    timestamp: np.ndarray
    weight: np.ndarray

    @staticmethod
    def pack(events: Sequence[Any]) -> Block:
        """Return events of either kind as columns."""
        names = ("feature", "y", "x", "timestamp")
        columns = [np.array([getattr(e, name) for e in events], np.int64) for name in names]
        weights = np.array([getattr(e, "weight", 1.0) for e in events], np.float32)
        return Block(*columns, weights)  # pyright: ignore[reportCallIssue] - four columns

    def take(self, chosen: np.ndarray) -> Block:
        """Return the chosen events."""
        columns = (self.feature, self.y, self.x, self.timestamp, self.weight)
        return Block(*(column[chosen] for column in columns))

    def unpack(self, kind: type[Record]) -> list[Any]:
        """Return the columns as events."""
        names = tuple(kind.fields)
        columns = [getattr(self, name).tolist() for name in names]
        return [
            kind.trusted(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)
        ]


class Convolution2d:
    """A convolution: a spike becomes one weighted event for each neuron that it reaches.

    Args:
        in_channels: number of input features.
        out_channels: number of output features.
        kernel_size: (y, x).
        in_shape: (y, x).
        stride: (y, x).
        padding: (y, x).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        in_shape: Pair,
        stride: Pair = (1, 1),
        padding: Pair = (0, 0),
    ) -> None:
        self._channels = (int(in_channels), int(out_channels))
        self._kernel, self._in_shape = _pair(kernel_size), _pair(in_shape)
        self._stride, self._padding = _pair(stride), _pair(padding)
        self._weights = np.zeros((*self._channels[::-1], *self._kernel), np.float32)

    def set_weights(self, weights: Any) -> None:
        """Set the weights, (out, in, ky, kx).

        Raises:
            ValueError: they have another shape.
        """
        array = np.array(weights, np.float32)
        if array.shape != self._weights.shape:
            raise ValueError(
                f"the weights have shape {array.shape}: give {self._weights.shape}"
                " (out, in, ky, kx)"
            )
        self._weights = array

    def get_weights(self) -> list[Any]:
        """Return the weights, (out, in, ky, kx)."""
        return self._weights.tolist()

    def get_in_channels(self) -> int:
        """Return the number of input features."""
        return self._channels[0]

    def get_out_channels(self) -> int:
        """Return the number of output features."""
        return self._channels[1]

    def get_kernel_size(self) -> Pair:
        """Return (y, x)."""
        return self._kernel

    def get_in_shape(self) -> Pair:
        """Return (y, x)."""
        return self._in_shape

    def get_stride(self) -> Pair:
        """Return (y, x)."""
        return self._stride

    def get_padding(self) -> Pair:
        """Return (y, x)."""
        return self._padding

    def get_output_shape(self) -> Pair:
        """Return (y, x)."""
        y, x = (
            (size + 2 * padding - kernel) // stride + 1
            for size, padding, kernel, stride in zip(
                self._in_shape, self._padding, self._kernel, self._stride, strict=True
            )
        )
        return (y, x)

    def forward(self, spikes: list[Any]) -> list[Any]:
        """Return the weighted events of a list of spikes."""
        return self.convolve(Block.pack(spikes)).unpack(WeightedEvent)

    def convolve(self, spikes: Block) -> Block:
        """Return the weighted events of a block of spikes."""
        parts = [
            self._convolve_part(spikes.take(np.arange(start, stop)))
            for start in range(0, len(spikes.x), EVENTS_PER_BLOCK)
            for stop in [min(start + EVENTS_PER_BLOCK, len(spikes.x))]
        ]
        parts.append(Block.pack([]))
        names = ("feature", "y", "x", "timestamp", "weight")
        return Block(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def _convolve_part(self, spikes: Block) -> Block:
        """Spread each spike over the kernel: axes are (spike, ky, kx, out)."""
        (rows, row_taken), (columns, column_taken) = (
            self._reached(values, axis) for axis, values in enumerate((spikes.y, spikes.x))
        )
        reached = (row_taken[:, :, None] & column_taken[:, None, :])[..., None]
        weights = self._weights.transpose(1, 2, 3, 0)[spikes.feature]
        grids = (
            np.arange(self._channels[1]),
            rows[:, :, None, None],
            columns[:, None, :, None],
            spikes.timestamp[:, None, None, None],
            weights,
        )
        chosen = np.broadcast_to(reached, weights.shape)
        return Block(*(np.broadcast_to(grid, weights.shape)[chosen] for grid in grids))

    def _reached(self, values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
        """Return, per spike and tap, the neuron's coordinate and whether there is one."""
        taps = np.arange(self._kernel[axis])
        offset = values[:, None] + self._padding[axis] - taps
        coordinate = offset // self._stride[axis]
        exact = coordinate * self._stride[axis] == offset
        inside = (coordinate >= 0) & (coordinate < self.get_output_shape()[axis])
        return coordinate, exact & inside


class IntegrateAndFire:
    """Neurons that fire at a threshold, which is then subtracted.

    Args:
        n_channels: number of features.
        in_shape: (y, x).
        threshold: a neuron fires at V >= threshold, once per weighted event.
        min_v: the lower bound of V.
    """

    def __init__(self, n_channels: int, in_shape: Pair, threshold: float, min_v: float) -> None:
        self._threshold, self._lowest = float(threshold), float(min_v)
        self._state = np.zeros((int(n_channels), *_pair(in_shape)), np.float32)
        # The first call may compile: scripts give a network one second for its first events.
        self.integrate(Block.pack([]))

    def get_v_mem(self) -> list[Any]:
        """Return the potentials, (channel, y, x)."""
        return self._state.tolist()

    def reset_states(self) -> None:
        """Set every potential to 0."""
        self._state[:] = 0

    def get_spike_threshold(self) -> float:
        """Return the threshold."""
        return self._threshold

    def get_min_v_mem(self) -> float:
        """Return the lower bound."""
        return self._lowest

    def forward(self, events: list[Any]) -> list[Any]:
        """Return the spikes that weighted events cause."""
        return self.integrate(Block.pack(events)).unpack(Spike)

    def integrate(self, events: Block) -> Block:
        """Return the spikes that a block of weighted events causes."""
        from speckflex.kernels.weighted_integrate import weighted_integrate

        neurons = np.ravel_multi_index((events.feature, events.y, events.x), self._state.shape)
        fires = np.zeros(len(neurons), np.bool_)
        weighted_integrate(
            neurons,
            events.weight,
            self._state.reshape(-1),
            np.float32(self._threshold),
            np.float32(self._lowest),
            fires,
        )
        return events.take(fires)


class SumPooling:
    """Pooling: divides the address of every spike and passes it on.

    Args:
        kernel_size: (y, x).
        in_shape: (y, x).
    """

    def __init__(self, kernel_size: Pair, in_shape: Pair) -> None:
        self._kernel, self._in_shape = _pair(kernel_size), _pair(in_shape)

    def get_shape(self) -> Pair:
        """Return the (y, x) size of the input."""
        return self._in_shape

    def get_kernel_size(self) -> Pair:
        """Return (y, x)."""
        return self._kernel

    def get_output_shape(self) -> Pair:
        """Return (y, x)."""
        return (self._in_shape[0] // self._kernel[0], self._in_shape[1] // self._kernel[1])

    def forward(self, spikes: list[Any]) -> list[Any]:
        """Return the spikes at their pooled addresses."""
        return self.pool(Block.pack(spikes)).unpack(Spike)

    def pool(self, spikes: Block) -> Block:
        """Return the spikes at their pooled addresses, without those past the last window."""
        y, x = spikes.y // self._kernel[0], spikes.x // self._kernel[1]
        height, width = self.get_output_shape()
        pooled = Block(spikes.feature, y, x, spikes.timestamp, spikes.weight)
        return pooled.take((y < height) & (x < width))


class SpecksimConvolutionalFilterNode(Node):
    """A `Convolution2d` as a node of a graph."""

    def set_parameters(self, *parameters: Any) -> None:
        """Make the layer of the arguments of `Convolution2d`."""
        self._layer = Convolution2d(*parameters)

    def get_layer(self) -> Convolution2d:
        """Return the layer."""
        return self._layer

    def set_weights(self, weights: Any) -> None:
        """Set the weights, (out, in, ky, kx)."""
        self._layer.set_weights(weights)

    def get_weights(self) -> list[Any]:
        """Return the weights, (out, in, ky, kx)."""
        return self._layer.get_weights()

    def receive(self, events: Block) -> None:
        """Pass on the weighted events of a block."""
        self.send(self._layer.convolve(events))


class SpecksimIAFFilterNode(Node):
    """An `IntegrateAndFire` as a node of a graph."""

    def set_parameters(self, *parameters: Any) -> None:
        """Make the layer of the arguments of `IntegrateAndFire`."""
        self._layer = IntegrateAndFire(*parameters)

    def get_layer(self) -> IntegrateAndFire:
        """Return the layer."""
        return self._layer

    def receive(self, events: Block) -> None:
        """Pass on the spikes of a block of weighted events."""
        self.send(self._layer.integrate(events))


class SpecksimSumPoolingFilterNode(Node):
    """A `SumPooling` as a node of a graph."""

    def set_parameters(self, *parameters: Any) -> None:
        """Make the layer of the arguments of `SumPooling`."""
        self._layer = SumPooling(*parameters)

    def get_layer(self) -> SumPooling:
        """Return the layer."""
        return self._layer

    def receive(self, events: Block) -> None:
        """Pass on the pooled spikes of a block."""
        self.send(self._layer.pool(events))


class SpecksimSource(BasicSourceNode):
    """Takes the spikes or weighted events that a script writes; they travel as a block."""

    def pack(self, events: Sequence[Any]) -> Any:
        """Return events as a block."""
        return Block.pack(events)


class SpecksimSink(BasicSinkNode):
    """Keeps spikes or weighted events until a script reads them.

    Scripts sleep, then read: what was written before is computed by then, however long it takes.
    """

    kind: type[Record] = Spike

    def get_events(self) -> list[Any]:
        """Return all events that come of what was written before, and forget them."""
        await_carried()
        return super().get_events()

    def unpack(self, events: Any) -> list[Any]:
        """Return a block as events."""
        return events.unpack(self.kind)


def _pair(values: Any) -> Pair:
    y, x = values
    return (int(y), int(x))
