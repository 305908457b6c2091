"""Integrate and fire: one core of the chip, event by event."""

import numpy as np
from numba import config, njit

from speckflex.kernels.lanes import BIT_POSITIONS, LANES, append_fired, count_fired, update_lanes

__all__ = ["LANES", "LANES_AVAILABLE", "integrate"]

V_MAX = 32767

# Vector instructions exist only in compiled code.
LANES_AVAILABLE = not config.DISABLE_JIT  # pyright: ignore[reportAttributeAccessIssue]


# error_model: divisors are never zero here, and a check in the loop would cost
@njit(cache=True, nogil=True, error_model="numpy")
def integrate(
    codes: np.ndarray,
    start: int,
    routes: np.ndarray,
    row_spans: np.ndarray,
    column_spans: np.ndarray,
    weights: np.ndarray,
    state: np.ndarray,
    layout: np.ndarray,
    rule: np.ndarray,
    pending: np.ndarray,
    spikes: np.ndarray,
    ends: np.ndarray,
) -> tuple[int, int]:
    """Run events from `start` on through one core and return (next event, spikes written).

    For each event and each neuron with the event in its field: add the weight, clamp at the
    low threshold, compare with the high one, fire at most once. Neurons that lie side by side
    in the field of an event are updated in one run over contiguous memory. Spikes leave in
    (y, x, channel) order. Stops early when `spikes` might not hold one more event's output.

    Args:
        codes: `(n,) int32`, rows of `routes`, one per event.
        start: the first event to run.
        routes: `(m, 3) int32`, input channel, y, x; y and x index the spans.
        row_spans: `(.., 3) int32`, for each y the first neuron row, the number of rows, and
            the kernel row that the first one meets.
        column_spans: `(.., 3) int32`, for each x the first neuron's place in its row, how many
            neurons lie side by side, and the first weight's place in its row.
        weights: int8, rows of taps by (channel, kernel row), `LANES` beyond the last.
        state: int16, potentials [y][x][channel], `LANES` beyond the last; changed in place.
        layout: `(6,) int64`, kernel rows, weights in a row of taps, stride y, neurons in a row
            of the map, the most spikes and the most masks that one event can cause.
        rule: `(5,) int64`, threshold high, threshold low, 1 to return to zero, 1 to wrap
            around beyond 32767 instead of saturating, 1 to use vector instructions.
        pending: `(k,) uint64`, scratch, for at least the most masks of one event.
        spikes: int32, written: addresses of the neurons that fired.
        ends: `(n,) int32`, written: for each event run, where its spikes end.
    """
    n_kernel_rows, row_weights, stride_y = layout[0], layout[1], layout[2]
    row_neurons, most_spikes, most_masks = layout[3], layout[4], layout[5]
    last_spikes = spikes.size - most_spikes - LANES
    last_pending = len(pending) - most_masks
    # local copies: a store to an array might otherwise have to be taken for a change of these
    high, low = np.int16(rule[0]), np.int16(rule[1])
    keep, with_lanes = np.int16(0) if rule[2] else np.int16(-1), rule[4]
    n_spikes = written = n_pending = 0
    event = start
    while event < codes.size and n_spikes <= last_spikes:
        code = codes[event]
        channel, y, x = routes[code, 0], routes[code, 1], routes[code, 2]
        row, n_rows, kernel_row = row_spans[y, 0], row_spans[y, 1], row_spans[y, 2]
        first, n_neurons = column_spans[x, 0], column_spans[x, 1]
        first_weight = column_spans[x, 2]
        for step in range(n_rows):
            neuron = (row + step) * row_neurons + first
            kernel_index = channel * n_kernel_rows + kernel_row - step * stride_y
            tap = kernel_index * row_weights + first_weight
            if with_lanes:
                n_spikes, n_pending = _run_lanes(
                    neuron, n_neurons, weights, tap, state, high, low, keep, pending, n_pending,
                    n_spikes,
                )  # fmt: skip
            else:
                n_spikes = _run_single(
                    neuron, n_neurons, weights, tap, state, rule, spikes, n_spikes
                )
        ends[event] = n_spikes
        event += 1
        if n_pending > last_pending:
            written = _expand(pending, n_pending, spikes, written)
            n_pending = 0
    _expand(pending, n_pending, spikes, written)
    return event, n_spikes


@njit(cache=True, nogil=True, error_model="numpy")
def _run_lanes(
    neuron: int,
    n_neurons: int,
    weights: np.ndarray,
    tap: int,
    state: np.ndarray,
    high: np.int16,
    low: np.int16,
    keep: np.int16,
    pending: np.ndarray,
    n_pending: int,
    n_spikes: int,
) -> tuple[int, int]:
    """Update neurons side by side, 32 at once; return the new numbers of spikes and masks."""
    for offset in range(0, n_neurons, LANES):
        n_valid = np.int16(min(n_neurons - offset, LANES))
        place = neuron + offset
        mask = update_lanes(state, place, weights, tap + offset, n_valid, high, low, keep)
        # Kept without a branch: which neurons fire is as good as random, and a processor pays
        # dearly for a wrong guess.
        pending[n_pending] = np.uint64(mask) << np.uint64(32) | np.uint64(place)
        n_pending += mask != 0
        n_spikes += count_fired(mask)
    return n_spikes, n_pending


@njit(cache=True, nogil=True, error_model="numpy")
def _expand(pending: np.ndarray, n_pending: int, spikes: np.ndarray, n_spikes: int) -> int:
    """Write the addresses that masks stand for; return the new number of spikes."""
    for index in range(n_pending):
        neuron, mask = np.int32(pending[index]), np.uint32(pending[index] >> np.uint64(32))
        n_spikes = append_fired(BIT_POSITIONS, spikes, n_spikes, neuron, mask)
    return n_spikes


@njit(cache=True, nogil=True, error_model="numpy")
def _run_single(
    neuron: int,
    n_neurons: int,
    weights: np.ndarray,
    tap: int,
    state: np.ndarray,
    rule: np.ndarray,
    spikes: np.ndarray,
    n_spikes: int,
) -> int:
    """Update neurons side by side, one at a time; return the new number of spikes."""
    high, low, to_zero, wraps, _ = rule
    for offset in range(n_neurons):
        v = np.int64(state[neuron + offset]) + np.int64(weights[tap + offset])
        if v > V_MAX:
            v = v - 2 * (V_MAX + 1) if wraps else V_MAX
        v = max(v, low)
        if v >= high:
            v = 0 if to_zero else v - high
            spikes[n_spikes] = neuron + offset
            n_spikes += 1
        state[neuron + offset] = v
    return n_spikes
