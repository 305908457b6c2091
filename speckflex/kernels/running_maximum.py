"""Spikes by the running maximum of the drive, and their gradient, without a neuron's state."""

import numpy as np
from numba import njit

from speckflex.kernels.if_backward import exp_of_negative

__all__ = ["maximum_backward", "maximum_forward"]


@njit(cache=True, nogil=True)
def maximum_forward(
    current: np.ndarray,
    spikes: np.ndarray,
    highest: np.ndarray,
    reached: np.ndarray,
    threshold: float,
) -> None:
    """Fill `spikes` with the steps of `floor(max(0, P_0, .., P_t) / threshold)`, P the running sum.

    Args:
        current: `(batch, time, neuron)`.
        spikes: `(batch, time, neuron)`, filled.
        highest: `(batch, time, neuron)`, filled with `max(P_0, .., P_t) / threshold`.
        reached: `(batch, time, neuron) bool`, filled: whether `P_t` is that maximum.
        threshold: above 0.
    """
    n_batch, n_steps, n_neurons = current.shape
    zero = current.dtype.type(0)
    for sample in range(n_batch):
        total = np.zeros(n_neurons, current.dtype)
        counted = np.zeros(n_neurons, current.dtype)
        top = np.full(n_neurons, -np.inf, current.dtype)
        for time in range(n_steps):
            for i in range(n_neurons):
                total[i] += current[sample, time, i]
                reached[sample, time, i] = total[i] >= top[i]
                top[i] = max(top[i], total[i])
                highest[sample, time, i] = top[i] / threshold
                count = np.floor(max(highest[sample, time, i], zero))
                spikes[sample, time, i] = count - counted[i]
                counted[i] = count


@njit(cache=True, nogil=True)
def maximum_backward(
    spike_gradient: np.ndarray,
    highest: np.ndarray,
    reached: np.ndarray,
    gradient: np.ndarray,
    threshold: float,
) -> None:
    """Fill `gradient` with the loss's derivative by the current of each frame.

    The derivative of a count by `highest` is 1 above 0 and `exp(highest)` below. A maximum belongs
    to the latest frame that reached it, and to the currents up to that frame.

    Args:
        spike_gradient: `(batch, time, neuron)`, by the spikes.
        highest: `(batch, time, neuron)`, of the forward pass.
        reached: `(batch, time, neuron) bool`, of the forward pass.
        gradient: `(batch, time, neuron)`, filled.
        threshold: as in the forward pass.
    """
    n_batch, n_steps, n_neurons = highest.shape
    zero = highest.dtype.type(0)
    for sample in range(n_batch):
        by_currents = np.zeros(n_neurons, highest.dtype)
        waiting = np.zeros(n_neurons, highest.dtype)
        later = np.zeros(n_neurons, highest.dtype)
        for time in range(n_steps - 1, -1, -1):
            for i in range(n_neurons):
                by_spikes = spike_gradient[sample, time, i]
                slope = highest.dtype.type(1)
                if highest[sample, time, i] <= zero:
                    slope = exp_of_negative(highest[sample, time, i])
                waiting[i] += (by_spikes - later[i]) * slope
                later[i] = by_spikes
                if reached[sample, time, i]:
                    by_currents[i] += waiting[i]
                    waiting[i] = zero
                gradient[sample, time, i] = by_currents[i] / threshold
