"""specksim's layers as nodes of event graphs; events travel between them as blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from speckflex.virtual.graph import Node
from speckflex.virtual.nodes import SinkBuffer, SourceBuffer
from speckflex.virtual.specksim import (
    Block,
    Convolution2d,
    IntegrateAndFire,
    Spike,
    SumPooling,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.virtual.records import Record

__all__ = ["ConvolutionNode", "IafNode", "PoolingNode", "SpecksimSink", "SpecksimSource"]


class ConvolutionNode(Node):
    """A convolution as a node of a graph."""

    def set_parameters(self, *parameters: Any) -> None:
        """Set what `Convolution2d` takes."""
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
        """Convolve a block."""
        self.send(self._layer.convolve(events))


class IafNode(Node):
    """Neurons as a node of a graph."""

    def set_parameters(self, *parameters: Any) -> None:
        """Set what `IntegrateAndFire` takes."""
        self._layer = IntegrateAndFire(*parameters)

    def get_layer(self) -> IntegrateAndFire:
        """Return the layer."""
        return self._layer

    def receive(self, events: Block) -> None:
        """Integrate a block."""
        self.send(self._layer.integrate(events))


class PoolingNode(Node):
    """Pooling as a node of a graph."""

    def set_parameters(self, *parameters: Any) -> None:
        """Set what `SumPooling` takes."""
        self._layer = SumPooling(*parameters)

    def get_layer(self) -> SumPooling:
        """Return the layer."""
        return self._layer

    def receive(self, events: Block) -> None:
        """Pool a block."""
        self.send(self._layer.pool(events))


class SpecksimSource(SourceBuffer):
    """Where spikes or weighted events enter; they travel as a block."""

    def pack(self, events: Sequence[Any]) -> Any:
        """Return events as a block."""
        return Block.pack(events)


class SpecksimSink(SinkBuffer):
    """Where spikes or weighted events arrive."""

    kind: type[Record] = Spike

    def unpack(self, events: Any) -> list[Any]:
        """Return a block as events."""
        return events.unpack(self.kind)
