"""The one ReLU network and the one input that the writers in this folder write and run.

A convolution, a ReLU, average pooling, a convolution with a batch norm and a ReLU, flattening, a
linear layer. The weights are multiples of 1/64.
"""

from __future__ import annotations

import numpy as np

INPUT_SHAPE = (2, 8, 8)
N_SAMPLES = 4
EPSILON = 1e-3  # of the batch norm


def weights() -> dict[str, np.ndarray]:
    """Return the weights by layer, in torch's order of axes."""
    rng = np.random.default_rng(0)

    def drawn(*shape: int) -> np.ndarray:
        return (rng.integers(-30, 40, shape) / 64).astype(np.float32)

    return {
        "conv1": drawn(4, 2, 3, 3),
        "bias1": drawn(4),
        "conv2": drawn(4, 4, 3, 3),
        "bias2": drawn(4),
        "gain": drawn(4) + 2,
        "shift": drawn(4),
        "mean": drawn(4),
        "variance": drawn(4) ** 2 + 1,
        "linear": drawn(5, 16),
        "bias3": drawn(5),
    }


def inputs() -> np.ndarray:
    """Return (sample, channel, y, x) float32, whole numbers."""
    rng = np.random.default_rng(1)
    return rng.integers(0, 3, (N_SAMPLES, *INPUT_SHAPE)).astype(np.float32)
