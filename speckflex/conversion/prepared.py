"""A network between torch and the chip: plain layers in float, in the order they run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from speckflex.conversion.convolution import Convolution
    from speckflex.conversion.neuron_settings import NeuronSettings
    from speckflex.fitting.finding import Check
    from speckflex.program.event_filter import EventFilter
    from speckflex.program.records import InputStage, Pair, Readout, Shape

__all__ = ["INPUT", "Options", "PreparedLayer", "PreparedNetwork", "Source"]

# Stands for the network's input where a layer's position is asked for.
INPUT = -1


@dataclass(frozen=True)
class Options:
    """What to do where the chip differs from the network.

    Args:
        allow_bias: take a torch bias over as the core's bias, added per tick of the slow clock.
        mend_min_v_mem: set a missing lower bound to minus the threshold.
        keep_state: start from the potentials that the layers hold now.
        event_filter: put the chip's noise filter before the first layer, which no torch layer
            stands for; boards need a slow clock then.
    """

    allow_bias: bool = False
    mend_min_v_mem: bool = True
    keep_state: bool = False
    event_filter: EventFilter | None = None


@dataclass(frozen=True)
class Source:
    """Where a layer's input comes from: position of the layer (-1 the input) and pooling."""

    layer: int
    pooling: Pair = (1, 1)


@dataclass(frozen=True)
class PreparedLayer:
    """One weight layer and its neurons, in float, ready for sinabs' backend.

    Args:
        name: path of the weight layer in the network; "" for the network itself.
        neuron_name: path of the neuron layer, "" for a potential readout.
        convolution: weights with the factors of average pooling in front multiplied in.
        bias: (out,) float32, or None.
        neuron: thresholds; None for a potential readout.
        input_shape: (channel, y, x).
        sources: what sends to it; several are merged.
    """

    name: str
    neuron_name: str
    convolution: Convolution
    bias: torch.Tensor | None
    neuron: NeuronSettings | None
    input_shape: Shape
    sources: tuple[Source, ...]

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
    """Layers in the order in which the network calls them, and all that was found.

    Args:
        layers: a source always lies before the layer that reads it.
        input: the stage before the first layers; its destinations are not set yet.
        checks: mends, and errors where the network can't be converted.
    """

    layers: tuple[PreparedLayer, ...]
    input: InputStage
    checks: tuple[Check, ...]
