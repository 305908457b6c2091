"""Leaky integrate and fire with a hard reset over all time steps at once: the backward pass."""

import numpy as np
from numba import njit

__all__ = ["leaky_backward"]


@njit(cache=True, nogil=True)
def leaky_backward(
    spike_gradient: np.ndarray,
    state_gradient: np.ndarray,
    before: np.ndarray,
    gradient: np.ndarray,
    leak: float,
    threshold: float,
    sharpness: float,
) -> None:
    """Fill `gradient` with the loss's derivative by the current of each step.

    With the triangle `g = sharpness * max(0, 1 - sharpness * |u - threshold|)` in the place of
    ds/du, the chain rule through `v = u * (1 - s)`, reset included, gives
    `d/du = g * (d/ds - u * d/dv) + (1 - s) * d/dv`. The derivative by v of the step before is
    `leak * d/du`.

    Args:
        spike_gradient: `(batch, time, neuron)`, by the spikes.
        state_gradient: `(batch, neuron)`, by the last potential.
        before: `(batch, time, neuron)`, u of the forward pass.
        gradient: `(batch, time, neuron)`, filled.
        leak: as in the forward pass, like the threshold.
        threshold: see above.
        sharpness: 1 / h for a triangle of width 2 h, in the units of the potential.
    """
    n_batch, n_steps, n_neurons = before.shape
    zero, one = before.dtype.type(0), before.dtype.type(1)
    for sample in range(n_batch):
        for time in range(n_steps - 1, -1, -1):
            last = time == n_steps - 1
            for i in range(n_neurons):
                u = before[sample, time, i]
                after = state_gradient[sample, i]
                if not last:
                    after = leak * gradient[sample, time + 1, i]
                slope = sharpness * max(zero, one - sharpness * abs(u - threshold))
                kept = zero if u > threshold else after
                by_spike = spike_gradient[sample, time, i] - u * after
                gradient[sample, time, i] = slope * by_spike + kept
