"""The noise filter behind the camera, event by event."""

import numpy as np
from numba import njit

__all__ = ["FILTER", "filter_events"]

FILTER = np.dtype(
    [
        ("reach_y", np.int64),  # pixels
        ("reach_x", np.int64),
        ("window", np.int64),  # ticks
        ("counts_own", np.bool_),  # an earlier event of the same pixel counts
        ("low_pass", np.bool_),  # drops events that have company, instead of those that have none
    ],
    align=True,
)


@njit(cache=True, nogil=True)
def filter_events(
    rows: np.ndarray,
    columns: np.ndarray,
    ticks: np.ndarray,
    latest: np.ndarray,
    rule: np.ndarray,
    kept: np.ndarray,
) -> None:
    """Decide which events have company: a recent event close by.

    Args:
        rows: `(n,) int32`, y.
        columns: `(n,) int32`, x.
        ticks: `(n,) int64`, the slow clock at each event.
        latest: `(y, x) int64`, tick of each pixel's latest event, very negative for none;
            changed in place.
        rule: `(1,) FILTER`.
        kept: `(n,) bool`, written.
    """
    reach_y, reach_x, window = rule[0]["reach_y"], rule[0]["reach_x"], rule[0]["window"]
    counts_own, low_pass = rule[0]["counts_own"], rule[0]["low_pass"]
    height, width = latest.shape
    for index in range(rows.size):
        row, column, now = rows[index], columns[index], ticks[index]
        company = False
        for y in range(max(0, row - reach_y), min(height, row + reach_y + 1)):
            for x in range(max(0, column - reach_x), min(width, column + reach_x + 1)):
                own = y == row and x == column
                if (counts_own or not own) and now - latest[y, x] <= window:
                    company = True
        kept[index] = company != low_pass
        latest[row, column] = now
