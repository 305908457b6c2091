"""Leaky integrate and fire with a hard reset over all time steps at once: the forward pass."""

import numpy as np
from numba import njit

__all__ = ["leaky_forward"]


@njit(cache=True, nogil=True)
def leaky_forward(
    current: np.ndarray,
    potential: np.ndarray,
    spikes: np.ndarray,
    before: np.ndarray,
    leak: float,
    threshold: float,
    sharpness: float,
) -> None:
    """Run `u = leak * v + current`, `s = 1 if u > threshold else 0`, `v = u * (1 - s)`.

    All floats have one dtype.

    Args:
        current: `(batch, time, neuron)`.
        potential: `(batch, neuron)`, v before the first step; afterwards behind the last.
        spikes: `(batch, time, neuron)`, filled.
        before: `(batch, time, neuron)`, filled with u; or `(batch, 1, neuron)`, scratch.
        leak: the share of a potential that the next step still has.
        threshold: a neuron fires above it, not at it.
        sharpness: of the surrogate; the forward pass does not use it.
    """
    n_batch, n_steps, n_neurons = current.shape
    zero, one = potential.dtype.type(0), potential.dtype.type(1)
    for sample in range(n_batch):
        for time in range(n_steps):
            row = min(time, before.shape[1] - 1)
            for i in range(n_neurons):
                u = leak * potential[sample, i] + current[sample, time, i]
                s = one if u > threshold else zero
                spikes[sample, time, i] = s
                before[sample, row, i] = u
                # a product, so that a NaN stays one
                potential[sample, i] = u * (one - s)
