"""Integrate and fire over all time steps at once: the forward pass."""

import numpy as np
from numba import njit

__all__ = ["if_forward"]


@njit(cache=True, nogil=True)
def if_forward(
    current: np.ndarray,
    potential: np.ndarray,
    spikes: np.ndarray,
    before: np.ndarray,
    threshold: float,
    most_spikes: float,
    to_value: bool,  # noqa: FBT001 - kernels take no keywords
    step: float,
    bounded: bool,  # noqa: FBT001
    low: float,
) -> None:
    """Run `u = v + current`, `s = min(trunc(u / threshold), most_spikes)`, reset, lower bound.

    All floats have one dtype. The order of operations is that of sinabs 3.1.3
    (`layers/functional/lif.py`, `activation/`), so that rounding is the same.

    Args:
        current: `(batch, time, neuron)`.
        potential: `(batch, neuron)`, v before the first step; afterwards behind the last.
        spikes: `(batch, time, neuron)`, filled.
        before: `(batch, time, neuron)`, filled with u; or `(batch, 1, neuron)`, scratch.
        threshold: above 0.
        most_spikes: in one step; infinity for no limit.
        to_value: reset to `step` (which sinabs adds whether or not a neuron fired),
            instead of subtracting `step` for each spike.
        step: what is subtracted, or the value after a reset.
        bounded: whether `low` holds.
        low: the least potential.
    """
    n_batch, n_steps, n_neurons = current.shape
    zero, one = potential.dtype.type(0), potential.dtype.type(1)
    for sample in range(n_batch):
        for time in range(n_steps):
            row = min(time, before.shape[1] - 1)
            for i in range(n_neurons):
                u = potential[sample, i] + current[sample, time, i]
                s = np.trunc(u / threshold)
                s = min(s, most_spikes) * (one if u > zero else zero)
                spikes[sample, time, i] = s
                before[sample, row, i] = u
                v = u * (one if s == zero else zero) + step if to_value else u - s * step
                if bounded:
                    above = v - low
                    # Not max(): a NaN must stay one.
                    v = (zero if above <= zero else above) + low  # noqa: FURB136
                potential[sample, i] = v
