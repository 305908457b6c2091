"""The weight layers of a network, each with the pooling before and the neuron after it."""

from __future__ import annotations

from typing import Any, NamedTuple

from sinabs.layers import StatefulLayer
from torch import nn

from speckflex.networks.quantised import QuantisedReLU

__all__ = ["WeightLayer", "weight_layers"]


class WeightLayer(NamedTuple):
    """One convolution or linear layer of a chain.

    Args:
        name: its name in the network.
        module: the layer itself.
        pooled: the number of values that average pooling in front of the layer combines in
            one; the chip adds them up, and the converter divides this layer's weights by it.
        neuron: the neuron after it, or the quantised ReLU in its place; None for a readout by
            potential.
        unit: what a spike of the layer before is worth.
    """

    name: str
    module: nn.Conv2d | nn.Linear
    pooled: int
    neuron: StatefulLayer | QuantisedReLU | None
    unit: float = 1.0

    @property
    def threshold(self) -> float | None:
        """The neuron's spike threshold, for spikes that count 1."""
        if self.neuron is None:
            return None
        if isinstance(self.neuron, QuantisedReLU):
            return self.neuron.step_size / self.unit
        threshold: Any = self.neuron.spike_threshold
        return float(threshold)

    @property
    def reach(self) -> float | None:
        """The largest size that the neuron's potential can have, above or below 0."""
        if self.threshold is None:
            return None
        lowest: Any = getattr(self.neuron, "min_v_mem", None)
        return max(self.threshold, 0.0 if lowest is None else -float(lowest))


def weight_layers(network: nn.Module) -> list[WeightLayer]:
    """Return the weight layers of a chain of layers, in order."""
    layers: list[WeightLayer] = []
    pooled, unit = 1, 1.0
    for name, module in network.named_modules():
        if isinstance(module, nn.AvgPool2d):
            size = module.kernel_size
            height, width = (size, size) if isinstance(size, int) else (size[0], size[-1])
            pooled *= height * width
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            layers.append(WeightLayer(name, module, pooled, None, unit))
            pooled = 1
        elif isinstance(module, (StatefulLayer, QuantisedReLU)) and layers:
            layers[-1] = layers[-1]._replace(neuron=module)
            if isinstance(module, QuantisedReLU):
                unit = module.step_size
    return layers
