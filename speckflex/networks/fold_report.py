"""What folding did to each weight layer; read without torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["FoldReport", "FoldedLayer"]


@dataclass(frozen=True)
class FoldedLayer:
    """What folding did to one weight layer.

    Args:
        layer: name of the weight layer.
        norms: names of the batch norms that were folded into it; none where only its bias was
            dropped.
        channels: number of its output channels.
        gain_min: smallest factor that the weights of a channel were multiplied by.
        gain_max: largest factor that the weights of a channel were multiplied by.
        neuron: name of the neuron layer that follows, "" where none follows.
        threshold: smallest firing threshold of that neuron layer; 1 where none follows.
        dropped_mean: constant input `|beta - mean * gain + bias * gain|` that was dropped, mean
            over the channels, in firing thresholds.
        dropped_max: the same of the channel with the largest, in firing thresholds.
    """

    layer: str
    norms: tuple[str, ...]
    channels: int
    gain_min: float
    gain_max: float
    neuron: str
    threshold: float
    dropped_mean: float
    dropped_max: float


@dataclass(frozen=True)
class FoldReport:
    """What folding did.

    Args:
        layers: the weight layers that folding changed, in the order of the forward pass.
        proof_error: largest relative difference between the outputs of the folded network and
            those of the original without means and biases; null where they were not compared.
    """

    layers: tuple[FoldedLayer, ...] = ()
    proof_error: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the report in plain JSON types."""
        layers = [asdict(layer) | {"norms": list(layer.norms)} for layer in self.layers]
        return {"layers": layers, "proof_error": self.proof_error}
