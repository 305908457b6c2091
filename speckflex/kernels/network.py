"""All cores of a network, one behind the other, as kernels that run them together take them."""

from typing import Any, NamedTuple

import numpy as np

__all__ = ["ALL", "CORE", "EVENTS_PER_CALL", "NONE", "PASSING", "Network"]

# A call of a kernel returns after so many events, so that an interrupt is noticed.
EVENTS_PER_CALL = 2**20

# What a monitor sees: no spike, those that the decimator passes, all.
NONE, PASSING, ALL = 0, 1, 2

# One core; the last row is the input's.
CORE = np.dtype(
    [
        ("sender", np.int64),  # the last that sends to it, -1 for none
        ("routes", np.int64),  # this and the next four: where its own begin in the arrays of all
        ("weights", np.int64),
        ("memory", np.int64),
        ("counts", np.int64),
        ("spikes", np.int64),
        ("first_edge", np.int64),
        ("end_edge", np.int64),
        ("ratio", np.int64),  # of the decimator
        ("passing", np.int64),
        ("monitors", np.int64),
    ]
)


class Network(NamedTuple):
    """What never changes of all cores.

    Args:
        cores: `(c + 1,) CORE`.
        edges: `(e, 2) int64`, a target, and what makes addresses into rows of `routes`.
        routes: `(m, 3) int32`, this and the next three as in `CoreArrays`.
        row_spans: see `CoreArrays`.
        column_spans: see `CoreArrays`.
        weights: see `CoreArrays`.
        layout: `(c, 6) int64`, a row for each core, see `CoreArrays`.
        rule: `(c, 5) int64`, a row for each core, see `CoreArrays`.
    """

    cores: Any
    edges: Any
    routes: Any
    row_spans: Any
    column_spans: Any
    weights: Any
    layout: Any
    rule: Any
