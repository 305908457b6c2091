"""The one network and the one input whose state dicts and spikes other tools wrote here.

A convolution, neurons, pooling, a convolution, neurons, a linear layer, neurons. All weights are
multiples of 1/64, pooled spikes of 1/4, and the threshold is 1 + 2 ** -17. So float32 sums are
exact in any order. A potential can equal the threshold only behind 512 spikes, more than there are
steps: tools that fire at the threshold and tools that fire above it give the same spikes.
"""

from __future__ import annotations

import numpy as np

INPUT_SHAPE = (2, 8, 8)
THRESHOLD = 1 + 2**-17
N_STEPS = 200


def weights() -> dict[str, np.ndarray]:
    """Return the weights by layer: conv1, conv2 and linear."""
    rng = np.random.default_rng(7)

    def drawn(low: int, high: int, *shape: int) -> np.ndarray:
        return (rng.integers(low, high, shape) / 64).astype(np.float32)

    return {
        "conv1": drawn(-25, 60, 4, 2, 3, 3),
        "conv2": drawn(-30, 60, 4, 4, 3, 3),
        "linear": drawn(-30, 50, 5, 16),
    }


def frames() -> np.ndarray:
    """Return (step, channel, y, x) float32: one event a step."""
    rng = np.random.default_rng(8)
    steps = np.zeros((N_STEPS, *INPUT_SHAPE), np.float32)
    places = [rng.integers(0, size, N_STEPS) for size in INPUT_SHAPE]
    steps[(np.arange(N_STEPS), *places)] = 1
    return steps
