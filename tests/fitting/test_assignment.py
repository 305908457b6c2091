"""The cheapest assignment, against a search over all."""

from itertools import permutations

import numpy as np
import pytest

from speckflex.fitting._assignment import assign


def cheapest(costs):
    """Return the least cost of all assignments; inf where there is none."""
    rows = np.arange(len(costs))
    ways = permutations(range(costs.shape[1]), len(costs))
    return min(costs[rows, list(way)].sum() for way in ways)


@pytest.mark.parametrize("forbidden", [0, 0.3, 0.7])
def test_no_assignment_is_cheaper(rng, forbidden):
    for _ in range(60):
        costs = rng.integers(0, rng.choice([3, 1000]), (rng.integers(1, 6), 5)).astype(float)
        costs[rng.random(costs.shape) < forbidden] = np.inf
        columns, crowd = assign(costs)
        least = cheapest(costs)
        assert bool(crowd) == (least == np.inf)
        if crowd:
            assert np.isfinite(costs[list(crowd)]).any(axis=0).sum() < len(crowd)
        else:
            assert len(set(columns)) == len(costs)
            assert costs[np.arange(len(costs)), list(columns)].sum() == least
