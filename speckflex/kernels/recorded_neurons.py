"""Potentials of neurons whose spikes were recorded elsewhere, and their gradient."""

import numpy as np
from numba import njit

from speckflex.kernels.if_backward import fill_slopes

__all__ = ["recorded_backward", "recorded_forward"]


@njit(cache=True, nogil=True)
def recorded_forward(
    current: np.ndarray,
    spikes: np.ndarray,
    before: np.ndarray,
    threshold: float,
    to_zero: bool,  # noqa: FBT001 - kernels take no keywords
    low: float,
) -> None:
    """Run `u = v + current`, `v = max(u - threshold * spikes, low)` from v = 0.

    Args:
        current: `(batch, time, neuron)`.
        spikes: `(batch, time, neuron)`, as recorded.
        before: `(batch, time, neuron)`, filled with u.
        threshold: above 0.
        to_zero: a spike sets v to 0 instead.
        low: the least potential.
    """
    n_batch, n_steps, n_neurons = current.shape
    zero = current.dtype.type(0)
    for sample in range(n_batch):
        potential = np.zeros(n_neurons, current.dtype)
        for time in range(n_steps):
            for i in range(n_neurons):
                u = potential[i] + current[sample, time, i]
                s = spikes[sample, time, i]
                before[sample, time, i] = u
                v = (zero if s > zero else u) if to_zero else u - threshold * s
                potential[i] = max(v, low)


@njit(cache=True, nogil=True)
def recorded_backward(
    spike_gradient: np.ndarray,
    spikes: np.ndarray,
    before: np.ndarray,
    gradient: np.ndarray,
    threshold: float,
    to_zero: bool,  # noqa: FBT001 - kernels take no keywords
    low: float,
    kind: int,
    height: float,
    sharpness: float,
) -> None:
    """Fill `gradient` with the loss's derivative by the current of each step.

    The recorded spikes are constants of the reset, so with ds/du from the surrogate
    `g[t] = spike_gradient[t] * ds/du[t] + g[t + 1]`, the last term only where neither the lower
    bound nor a reset to 0 held the potential.

    Args:
        spike_gradient: `(batch, time, neuron)`, by the spikes.
        spikes: `(batch, time, neuron)`, as recorded.
        before: `(batch, time, neuron)`, u of the forward pass.
        gradient: `(batch, time, neuron)`, overwritten.
        threshold: as in the forward pass, like the two that follow.
        to_zero: see above.
        low: see above.
        kind: of surrogate, see `if_backward`: GIVEN means that `gradient` holds ds/du already.
        height: of the surrogate at the threshold.
        sharpness: how fast it falls, per unit of potential.
    """
    n_batch, n_steps, n_neurons = before.shape
    zero = before.dtype.type(0)
    for sample in range(n_batch):
        later = np.zeros(n_neurons, before.dtype)
        for time in range(n_steps - 1, -1, -1):
            slopes = gradient[sample, time]
            fill_slopes(before[sample, time], threshold, kind, height, sharpness, slopes)
            for i in range(n_neurons):
                s = spikes[sample, time, i]
                v = before[sample, time, i] - (zero if to_zero else threshold * s)
                held = v <= low or (to_zero and s > zero)
                passed = zero if held else later[i]
                later[i] = spike_gradient[sample, time, i] * slopes[i] + passed
                slopes[i] = later[i]
