"""Integrate and fire on weighted events, in floating point: specksim's neuron."""

import numpy as np
from numba import njit

__all__ = ["weighted_integrate"]


@njit(cache=True)
def weighted_integrate(
    neurons: np.ndarray,
    weights: np.ndarray,
    state: np.ndarray,
    threshold: np.float32,
    lowest: np.float32,
    fires: np.ndarray,
) -> None:
    """Add each event's weight to its neuron; mark the events on which the neuron fires.

    `V = max(V + w, lowest)`; where `V >= threshold` the neuron fires once and `V -= threshold`.

    Args:
        neurons: `(n,) int64`, flat index into `state`.
        weights: `(n,) float32`.
        state: `(m,) float32`, potentials; changed in place.
        threshold: what a neuron must reach to fire.
        lowest: what a potential can't fall below.
        fires: `(n,) bool`, written.
    """
    for event in range(neurons.size):
        v = max(state[neurons[event]] + weights[event], lowest)
        fires[event] = v >= threshold
        state[neurons[event]] = v - threshold if fires[event] else v
