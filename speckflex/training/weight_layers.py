"""The weight layers of a network, each with the pooling before and the neuron behind it."""

from __future__ import annotations

from typing import Any, NamedTuple

from sinabs.layers import StatefulLayer
from torch import nn

__all__ = ["WeightLayer", "first_bias", "weight_layers"]

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class WeightLayer(NamedTuple):
    """One convolution or linear layer of a chain.

    Args:
        name: in the network.
        module: the layer itself.
        pooled: values that the average pooling since the layer before makes one of; the chip
            adds them up instead, and the converter divides this layer's weights by it.
        neuron: the neuron behind it; None for a readout by potential.
    """

    name: str
    module: nn.Conv2d | nn.Linear
    pooled: int
    neuron: StatefulLayer | None

    @property
    def threshold(self) -> float | None:
        """The neuron's spike threshold."""
        if self.neuron is None:
            return None
        threshold: Any = self.neuron.spike_threshold
        return float(threshold)

    @property
    def reach(self) -> float | None:
        """How far the neuron's potential goes from 0, up or down."""
        if self.threshold is None:
            return None
        lowest: Any = getattr(self.neuron, "min_v_mem", None)
        return max(self.threshold, 0.0 if lowest is None else -float(lowest))


def weight_layers(network: nn.Module) -> list[WeightLayer]:
    """Return the weight layers of a chain of layers, in order."""
    layers: list[WeightLayer] = []
    pooled = 1
    for name, module in network.named_modules():
        if isinstance(module, nn.AvgPool2d):
            pooled *= _window(module)
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            layers.append(WeightLayer(name, module, pooled, None))
            pooled = 1
        elif isinstance(module, StatefulLayer) and layers:
            layers[-1] = layers[-1]._replace(neuron=module)
    return layers


def first_bias(network: nn.Module) -> str | None:
    """Return the name of the first weight layer or batch norm that adds a constant, or None."""
    for name, module in network.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
            return name
        if isinstance(module, BATCH_NORMS) and _shifts(module):
            return name
    return None


def _shifts(norm: nn.modules.batchnorm._BatchNorm) -> bool:
    parts = (norm.running_mean, norm.bias)
    return any(part is not None and bool(part.detach().any()) for part in parts)


def _window(pool: nn.AvgPool2d) -> int:
    size = pool.kernel_size
    height, width = (size, size) if isinstance(size, int) else (size[0], size[-1])
    return height * width
