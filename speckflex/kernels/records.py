"""The rows of the tables that several kernels read, on CPU and GPU by the same names.

A row is one record, and no number in it is found by its place. The fields are aligned, since a
GPU reads others byte by byte.
"""

import numpy as np

__all__ = [
    "ALL",
    "BY_EVENT",
    "BY_ROW",
    "CORE",
    "EDGE",
    "LAYOUT",
    "NONE",
    "PASSING",
    "ROUTE",
    "RULE",
    "UNGROUPED",
]

# What a monitor sees of a core: no spike, those that the decimator passes, all.
NONE, PASSING, ALL = 0, 1, 2
# How the spikes of one event are sorted by channel before they leave: not at all, those of each row
# of the map, all of them.
UNGROUPED, BY_ROW, BY_EVENT = 0, 1, 2

# The neurons of a core that an address of a sender reaches: rows of neurons side by side.
ROUTE = np.dtype(
    [
        ("neuron", np.int32),  # the first of the first row
        ("weight", np.int32),  # that it gets
        ("n_rows", np.int32),
        ("n_neurons", np.int32),  # in a row
    ],
    align=True,
)

# How the neurons and the weights of a core lie in memory.
LAYOUT = np.dtype(
    [
        ("row_weights", np.int64),  # in a row of taps
        ("stride_y", np.int64),
        ("row_neurons", np.int64),  # in a row of the map
        ("channels", np.int64),
        ("grouping", np.int64),
        ("most_spikes", np.int64),  # that one event can cause
        ("most_masks", np.int64),  # that one event can cause
        ("by_lanes", np.bool_),  # with vector instructions
    ],
    align=True,
)

# When a neuron fires, and what is left.
RULE = np.dtype(
    [
        ("high", np.int64),  # threshold
        ("low", np.int64),  # bound
        ("to_zero", np.bool_),  # after a spike, else the threshold is subtracted
        ("wraps", np.bool_),  # around beyond 32767, else saturates
        ("cuts_last", np.bool_),  # to 16 bits, after the threshold is compared
    ],
    align=True,
)

# Where a sender's spikes go.
EDGE = np.dtype(
    [
        ("target", np.int64),  # core
        ("first_route", np.int64),  # the sender's first address, among the routes of all cores
    ],
    align=True,
)

# One of several cores whose arrays lie one after the other; the last row is the input's.
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
        ("passing", np.int64),  # which spike of so many it passes
        ("monitors", np.int64),
    ],
    align=True,
)
