"""What a GPU does with the neurons and spikes of many samples, besides integrating."""

# Within a kernel numba takes the place of `cuda`'s functions.
# pyright: reportAttributeAccessIssue=false, reportCallIssue=false, reportArgumentType=false

import numpy as np
from numba import cuda

from speckflex.chips.formats import NEURON_MAX

__all__ = ["GATHERING", "begin_batch", "gather_batch", "leak_batch"]

# The spikes of one sample that are gathered.
GATHERING = np.dtype(
    [
        ("first", np.int64),  # among the spikes of all samples
        ("n_spikes", np.int64),
        ("target", np.int64),  # where the first one goes
    ],
    align=True,
)


@cuda.jit
def begin_batch(initial: np.ndarray, state: np.ndarray, counts: np.ndarray) -> None:
    """Give every sample its neurons; block s works on sample s.

    Args:
        initial: `(neurons,) int16`.
        state: `(samples, neurons) int16`, written.
        counts: `(samples, neurons) int64`, set to 0.
    """
    sample = cuda.blockIdx.x
    for neuron in range(cuda.threadIdx.x, state.shape[1], cuda.blockDim.x):
        state[sample, neuron] = initial[neuron]
        counts[sample, neuron] = 0


@cuda.jit
def leak_batch(bias: np.ndarray, low: int, ticks: np.ndarray, state: np.ndarray) -> None:
    """Add a core's bias to its neurons, once a tick, bounded below, as `leak_into` does.

    Args:
        bias: `(channels,) int16`.
        low: the lower bound.
        ticks: `(samples,) int64`, how many ticks.
        state: `(samples, neurons) int16`, changed in place; the channel runs fastest.
    """
    sample = cuda.blockIdx.x
    n_later = ticks[sample] - 1
    if n_later >= 0:
        for neuron in range(cuda.threadIdx.x, state.shape[1], cuda.blockDim.x):
            step = np.int64(bias[neuron % len(bias)])
            # after one tick every potential is in bounds, and the others may be added up
            v = _bound(np.int64(state[sample, neuron]) + step, low)
            state[sample, neuron] = _bound(v + n_later * step, low)


@cuda.jit(device=True)
def _bound(v: int, low: int) -> int:
    """Return a potential within its bounds."""
    if v < low:
        return low
    return NEURON_MAX if v > NEURON_MAX else v  # noqa: FURB136 - numba 0.68 can't compile min for GPUs


@cuda.jit
def gather_batch(
    spikes: np.ndarray,
    spike_times: np.ndarray,
    stride: int,
    parts: np.ndarray,
    gathered: np.ndarray,
    gathered_times: np.ndarray,
) -> None:
    """Copy the spikes of all samples one after the other; block s copies those of sample s.

    Args:
        spikes: int32, of all samples.
        spike_times: int64, µs, as long.
        stride: the step from one spike to the next.
        parts: `(samples,) GATHERING`.
        gathered: int32, written.
        gathered_times: int64, µs, written.
    """
    sample = cuda.blockIdx.x
    first, target = parts[sample]["first"], parts[sample]["target"]
    for index in range(cuda.threadIdx.x, parts[sample]["n_spikes"], cuda.blockDim.x):
        gathered[target + index] = spikes[first + index * stride]
        gathered_times[target + index] = spike_times[first + index * stride]
