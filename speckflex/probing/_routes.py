"""Experiments on what happens to spikes between two cores: decimator, pooling at edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speckflex.chips.formats import NEURON_MAX
from speckflex.probing._cores import CORE, TARGET, THETA, layer_of, send_to
from speckflex.probing.experiment import Experiment

if TYPE_CHECKING:
    from typing import Any

    from speckflex.boards.chip.bench import Bench

__all__ = ["EXPERIMENTS"]

N_EVENTS = 1100
POWERS = tuple(2**power for power in range(1, 10))
UNCLEAR = (5, 6, 7)  # intervals on which the documents differ
WIDE, KERNEL = 31, 16  # pixels a side, and of the kernel: the middle one updates 256 neurons
AT_ONCE = (1000, 2000)  # events
EDGE = 5  # pixels a side; no multiple of the pooling


def _decimated(bench: Bench, interval: int) -> Any:
    """Return a configuration of a core that decimates, and another one that sees what it sends."""
    source = layer_of(THETA, decimator_interval=interval)
    configuration = bench.configuration({CORE: source, TARGET: layer_of(THETA)})
    send_to(configuration.cnn_layers[CORE], 0, TARGET)
    return configuration


def _count(seen: list[Any], core: int) -> int:
    return sum(layer == core for layer, *_ in seen)


def _decimator_table(bench: Bench) -> list[int]:
    """Return one spike in how many passes at each of the unclear intervals; 0 for no known one."""
    shares = []
    for interval in UNCLEAR:
        bench.apply(_decimated(bench, interval))
        passed = _count(bench.seen([bench.spike(CORE)] * N_EVENTS, CORE), TARGET)
        shares.append(_share(passed))
    return shares


def _share(passed: int) -> int:
    """Return the N of which one spike passes, by how many of all do; the last or the first of N."""
    fitting = [n for n in POWERS if passed in {N_EVENTS // n, -(-N_EVENTS // n)}]
    return fitting[0] if len(fitting) == 1 else 0


def _one_in_two(bench: Bench) -> tuple[list[int], int]:
    """Return how many spikes passed after each of three at interval 0, and how many were shown."""
    bench.apply(_decimated(bench, 0))
    passed, shown = [0], 0
    for _ in range(3):
        seen = bench.seen([bench.spike(CORE)], CORE)
        passed.append(passed[-1] + _count(seen, TARGET))
        shown += _count(seen, CORE)
    return passed[1:], shown


def _decimator_passes(bench: Bench) -> list[int]:
    return _one_in_two(bench)[0]


def _decimator_monitor(bench: Bench) -> str:
    passed, shown = _one_in_two(bench)
    return "all" if shown == 3 else "those that passed" if shown == passed[-1] else str(shown)


def _edge_spikes(bench: Bench) -> dict[str, Any]:
    """Return what a spike of the last column of 5 does behind a pooling of 2.

    The target has 2 x 2 pixels and a kernel of 3 x 3 with a border, so that a spike at column 2
    would reach the neurons of column 1. Also returned: whether a target of 3 x 3 is valid.
    """
    source = layer_of(THETA, size=(EDGE, EDGE))
    found: dict[str, Any] = {}
    for side in (2, 3):
        target = layer_of(np.full((1, 1, 3, 3), THETA), size=(side, side), padding=(1, 1))
        configuration = bench.configuration({CORE: source, TARGET: target})
        send_to(configuration.cnn_layers[CORE], 0, TARGET, pooling=2)
        found[f"{side} x {side} valid"] = bench.is_valid(configuration)
        if side == 2 and found["2 x 2 valid"]:
            bench.apply(configuration)
            seen = bench.seen([bench.spike(CORE, y=0, x=EDGE - 1)], CORE)
            found["reached"] = sorted([y, x] for core, _, y, x in seen if core == TARGET)
    return found


def _edge_expectation(reached: list[list[int]]) -> dict[str, Any]:
    return {"2 x 2 valid": True, "reached": reached, "3 x 3 valid": False}


def _balancer(bench: Bench) -> dict[str, int]:
    """Return how many of so many spikes at once a slow core with a balancer takes.

    Its room is twice the first number less the second, where both are smaller than all: what it
    serves meanwhile doubles, its room does not.
    """
    target = layer_of(
        np.ones((1, 1, KERNEL, KERNEL)),
        size=(WIDE, WIDE),
        threshold=NEURON_MAX,
        congestion_balancer=True,
    )
    middle = WIDE // 2
    found = {}
    for n_events in AT_ONCE:
        layers = {CORE: layer_of(THETA, size=(WIDE, WIDE)), TARGET: target}
        configuration = bench.configuration(layers)
        send_to(configuration.cnn_layers[CORE], 0, TARGET)
        bench.apply(configuration)
        bench.seen([bench.spike(CORE, y=middle, x=middle)] * n_events, CORE)
        found[f"taken of {n_events}"] = bench.state(TARGET)
    return found


EXPERIMENTS = (
    Experiment(
        "decimator_table",
        "one spike in how many a decimator passes at intervals 5, 6 and 7",
        _decimator_table,
        {"without 64": [128, 256, 512], "with 64": [64, 128, 256]},
    ),
    Experiment(
        "decimator_passes",
        "which of N spikes a decimator passes",
        _decimator_passes,
        {"last": [0, 1, 1], "first": [1, 1, 2]},
    ),
    Experiment(
        "decimator_monitor",
        "whether a monitor shows the spikes before or after the decimator",
        _decimator_monitor,
        {"before": "all", "after": "those that passed"},
    ),
    Experiment("balancer_depth", "how many spikes at once a balancer takes", _balancer),
    Experiment(
        "edge_spikes",
        "what happens to spikes beyond the last whole pooling window",
        _edge_spikes,
        {"drop": _edge_expectation([]), "keep": _edge_expectation([[0, 1], [1, 1]])},
    ),
)
