"""Integrate and fire over all time steps at once: the backward pass."""

import numpy as np
from numba import njit

from speckflex.kernels.surrogates import EXPONENTIAL, TRIANGULAR

__all__ = ["exp_of_negative", "fill_slopes", "if_backward"]

F = np.float32


@njit(cache=True, nogil=True)
def if_backward(
    spike_gradient: np.ndarray,
    state_gradient: np.ndarray,
    before: np.ndarray,
    gradient: np.ndarray,
    threshold: float,
    most_spikes: float,
    to_value: bool,  # noqa: FBT001 - kernels take no keywords
    step: float,
    bounded: bool,  # noqa: FBT001
    low: float,
    kind: int,
    height: float,
    sharpness: float,
) -> None:
    """Fill `gradient` with the loss's derivative by the current of each step.

    As in sinabs: the gradient passes through the subtraction of spikes, not through
    the choice of a reset to a value, and not where the lower bound held the potential. The
    derivative by the initial potential is that by the first step's current.

    Args:
        spike_gradient: `(batch, time, neuron)`, by the spikes.
        state_gradient: `(batch, neuron)`, by the last potential.
        before: `(batch, time, neuron)`, u of the forward pass.
        gradient: `(batch, time, neuron)`, overwritten.
        threshold: as in the forward pass, like the five that follow.
        most_spikes: see above.
        to_value: see above.
        step: see above.
        bounded: see above.
        low: see above.
        kind: of surrogate: GIVEN means that `gradient` holds ds/du already.
        height: of the surrogate at the threshold.
        sharpness: how fast it falls, per unit of potential.
    """
    n_batch, n_steps, n_neurons = before.shape
    for sample in range(n_batch):
        for time in range(n_steps - 1, -1, -1):
            last = time == n_steps - 1
            later = state_gradient[sample] if last else gradient[sample, time + 1]
            slopes = gradient[sample, time]
            fill_slopes(before[sample, time], threshold, kind, height, sharpness, slopes)
            for i in range(n_neurons):
                slopes[i] = _derivative(
                    before[sample, time, i],
                    later[i],
                    spike_gradient[sample, time, i],
                    slopes[i],
                    threshold,
                    most_spikes,
                    to_value,
                    step,
                    bounded,
                    low,
                )


@njit(inline="always")
def _derivative(
    u: float,
    later: float,
    by_spikes: float,
    slope: float,
    threshold: float,
    most_spikes: float,
    to_value: bool,  # noqa: FBT001 - kernels take no keywords
    step: float,
    bounded: bool,  # noqa: FBT001
    low: float,
) -> float:
    """Return the loss's derivative by the u of one neuron in one time step.

    Args:
        u: the potential before spikes and reset.
        later: the derivative by the potential that the step left behind.
        by_spikes: the derivative by the step's spikes.
        slope: ds/du.
        threshold: as in `if_backward`, like the five that follow.
        most_spikes: see above.
        to_value: see above.
        step: see above.
        bounded: see above.
        low: see above.
    """
    zero, one = type(u)(0), type(u)(1)
    # Dividing again is faster than reading the spikes again.
    s = min(np.trunc(u / threshold), most_spikes) * (one if u > zero else zero)
    silent = one if s == zero else zero
    v = u * silent + step if to_value else u - s * step
    reset = zero if bounded and v - low <= zero else later
    if to_value:
        return reset * silent + by_spikes * slope
    return reset + (by_spikes - step * reset) * slope


@njit(cache=True, nogil=True)
def fill_slopes(
    before: np.ndarray,
    threshold: float,
    kind: int,
    height: float,
    sharpness: float,
    slopes: np.ndarray,
) -> None:
    """Fill `slopes` with ds/du at the potentials `before`, unless they are given."""
    if kind == EXPONENTIAL:
        for i in range(before.size):
            slopes[i] = height * exp_of_negative(-abs(before[i] - threshold) * sharpness)
    elif kind == TRIANGULAR:
        for i in range(before.size):
            above = before.dtype.type(1) - abs(before[i] - threshold) * sharpness
            slopes[i] = height * max(before.dtype.type(0), above)


@njit(inline="always")
def exp_of_negative(x: float) -> float:
    """Return `exp(x)` in single precision for x <= 0, as arithmetic that fits vector units.

    `2^k * 2^f` with f in -1/2..1/2 and a polynomial for `2^f`; the relative error is that of x's
    own rounding, below 1e-6 down to x = -20. Calls of the C library are ten times slower.
    """
    y = max(F(x) * F(1.4426950408889634), F(-126.0))
    k = np.floor(y + F(0.5))
    f = y - k
    # Cephes' exp2f.
    power = F(1.535336188319500e-4)
    power = power * f + F(1.339887440266574e-3)
    power = power * f + F(9.618437357674640e-3)
    power = power * f + F(5.550332471162809e-2)
    power = power * f + F(2.402264791363012e-1)
    power = power * f + F(6.931472028550421e-1)
    power = power * f + F(1.0)
    exponent = np.int32((np.int32(k) + np.int32(127)) << np.int32(23))
    return power * exponent.view(np.float32)
