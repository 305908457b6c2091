"""Integrate and fire: one core of the chip, event by event."""

import numpy as np
from numba import njit

__all__ = ["integrate"]

V_MAX = 32767


@njit(cache=True, nogil=True)
def integrate(
    channels: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    start: int,
    weights: np.ndarray,
    state: np.ndarray,
    geometry: np.ndarray,
    rule: np.ndarray,
    fired: np.ndarray,
    spikes: np.ndarray,
) -> tuple[int, int]:
    """Run events from `start` on through one core and return (next event, spikes written).

    For each event and each neuron with the event in its field: add the weight, clamp at the
    low threshold, compare with the high one, fire at most once. Stops early when `spikes`
    might not hold the output of one more event. Spikes leave in (y, x, channel) order.

    Args:
        channels: `(n,) int32`, input channel of each event.
        rows: `(n,) int32`, y of each event.
        columns: `(n,) int32`, x of each event.
        start: the first event to run.
        weights: `(in, ky, kx, out) int8`.
        state: `(y, x, out) int16`, potentials; changed in place.
        geometry: `(4,) int64`, stride y, stride x, padding y, padding x.
        rule: `(4,) int64`, threshold high, threshold low, 1 to return to zero,
            1 to wrap around beyond 32767 instead of saturating.
        fired: `(out,) uint8`, scratch.
        spikes: `(m, 4) int32`, written: index of the causing event, channel, y, x.
    """
    stride_y, stride_x, pad_y, pad_x = geometry
    high, low = np.int32(rule[0]), np.int32(rule[1])
    _, n_ky, n_kx, n_out = weights.shape
    n_rows, n_columns, _ = state.shape
    per_event = min((n_ky - 1) // stride_y + 1, n_rows) * min((n_kx - 1) // stride_x + 1, n_columns)
    last = spikes.shape[0] - per_event * n_out
    n_spikes = 0
    event = start
    while event < channels.size and n_spikes <= last:
        y, x = rows[event] + pad_y, columns[event] + pad_x
        # the neurons whose field holds the event: 0 <= y - row * stride < ky
        row_first = max(0, -((n_ky - 1 - y) // stride_y))
        row_last = min(n_rows - 1, y // stride_y)
        column_first = max(0, -((n_kx - 1 - x) // stride_x))
        column_last = min(n_columns - 1, x // stride_x)
        for row in range(row_first, row_last + 1):
            for column in range(column_first, column_last + 1):
                taps = weights[channels[event], y - row * stride_y, x - column * stride_x]
                potentials = state[row, column]
                any_fired = np.uint8(0)
                for out in range(n_out):
                    v = np.int32(potentials[out]) + np.int32(taps[out])
                    if v > V_MAX:
                        v = v - np.int32(65536) if rule[3] else np.int32(V_MAX)
                    v = max(v, low)
                    fires = v >= high
                    if fires:
                        v = np.int32(0) if rule[2] else v - high
                    potentials[out] = np.int16(v)
                    fired[out] = np.uint8(fires)
                    any_fired |= np.uint8(fires)
                if any_fired:
                    for out in range(n_out):
                        if fired[out]:
                            spikes[n_spikes, 0] = event
                            spikes[n_spikes, 1] = out
                            spikes[n_spikes, 2] = row
                            spikes[n_spikes, 3] = column
                            n_spikes += 1
        event += 1
    return event, n_spikes
