"""A network between torch and the chip: plain layers in float, in the order in which they run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from speckflex.conversion._convolution import Convolution
    from speckflex.conversion._neuron import Neuron
    from speckflex.fitting.checks import Check
    from speckflex.program.records import InputStage, Pair, Readout, Shape

__all__ = ["INPUT", "PreparedLayer", "PreparedNetwork", "Sender"]

# Stands for the network's input where a layer's position is asked for.
INPUT = -1


@dataclass(frozen=True)
class Sender:
    """What sends to a layer.

    Args:
        layer: position of a layer; `INPUT` for the network's input.
        pooling: (y, x) window that sums its spikes on the way.
        shift: added to its channels at the reader.
    """

    layer: int
    pooling: Pair = (1, 1)
    shift: int = 0

    def pooled(self, window: Pair) -> Sender:
        """Return the sender with one more pooling on the way."""
        pooling = (self.pooling[0] * window[0], self.pooling[1] * window[1])
        return replace(self, pooling=pooling)


@dataclass(frozen=True)
class PreparedLayer:
    """One weight layer and its neurons, in float, ready for sinabs' backend.

    Args:
        name: path of the weight layer in the network; "" for the network itself.
        neuron_name: path of the neuron layer, "" for a potential readout.
        convolution: its weights are multiplied by the factors of average pooling before it.
        bias: (out,) float32, or None.
        neuron: thresholds; None for a potential readout.
        input_shape: (channel, y, x).
        senders: what sends to it; several are merged.
    """

    name: str
    neuron_name: str
    convolution: Convolution
    bias: torch.Tensor | None
    neuron: Neuron | None
    input_shape: Shape
    senders: tuple[Sender, ...]

    @property
    def readout(self) -> Readout:
        """What the layer is read out by."""
        return "spikes" if self.neuron else "potential"

    @property
    def output_shape(self) -> Shape:
        """(channel, y, x) of the neurons."""
        return self.convolution.output_shape(self.input_shape)


@dataclass(frozen=True)
class PreparedNetwork:
    """Layers in the order in which the network calls them, and the findings.

    Args:
        layers: what sends to a layer always lies before it.
        input: the stage before the first layers; its destinations are not set yet.
        checks: changes, and errors where the network can't be converted.
    """

    layers: tuple[PreparedLayer, ...]
    input: InputStage
    checks: tuple[Check, ...]
