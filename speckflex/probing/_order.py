"""Experiments on order: neurons that fire on one event, and the two destinations of a spike."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from speckflex.probing._cores import CORE, TARGET, THETA, layer_of, send_to
from speckflex.probing.experiment import Experiment
from speckflex.twin.output_order import ORDERS

if TYPE_CHECKING:
    from speckflex.boards.chip.bench import Bench

__all__ = ["EXPERIMENTS"]

N_FEATURES = 16
SIDE = 3  # of the map, and of the kernel


def _visited(order: str) -> list[list[int]]:
    """Return the (feature, y, x) of all neurons of the map in an order."""
    lengths = {"c": N_FEATURES, "y": SIDE, "x": SIDE}
    axes = order[1::2]
    ranges = [
        range(lengths[axis])[:: 1 if sign == "+" else -1]
        for sign, axis in zip(order[::2], axes, strict=True)
    ]
    return [
        [place[axes.index(axis)] for axis in "cyx"] for place in (list(p) for p in product(*ranges))
    ]


def _output_order(bench: Bench) -> list[list[int]]:
    """Return the neurons in the order in which they fire on one event that reaches all of them."""
    weights = np.full((N_FEATURES, 1, SIDE, SIDE), THETA)
    bench.apply(bench.configuration({CORE: layer_of(weights, size=(SIDE, SIDE), padding=(1, 1))}))
    return [list(seen[1:]) for seen in bench.seen([bench.spike(CORE, y=1, x=1)], CORE)]


def _destination_order(bench: Bench) -> list[int]:
    """Return whether a neuron fires when one spike excites and inhibits it, in two wirings.

    The spike arrives at the neuron as feature 0, which excites by a threshold, and as feature 1,
    which inhibits by as much, down to the bound: it fires only if feature 0 comes first. In the
    second wiring the destinations have changed places.
    """
    fired = []
    for shifts in ((0, 1), (1, 0)):
        target = layer_of([[[[THETA]], [[-THETA]]]])
        configuration = bench.configuration({CORE: layer_of(THETA), TARGET: target})
        for slot, shift in enumerate(shifts):
            send_to(configuration.cnn_layers[CORE], slot, TARGET, shift=shift)
        bench.apply(configuration)
        seen = bench.seen([bench.spike(CORE)], CORE)
        fired.append(sum(core == TARGET for core, *_ in seen))
    return fired


EXPERIMENTS = (
    Experiment(
        "output_order",
        "in which order neurons that fire on one event send their spikes",
        _output_order,
        {order: _visited(order) for order in ORDERS},
    ),
    Experiment(
        "destination_order",
        "which destination of a spike is served first",
        _destination_order,
        {
            "listed": [1, 0],
            "reversed": [0, 1],
            "lower feature first": [1, 1],
            "higher feature first": [0, 0],
        },
    ),
)
