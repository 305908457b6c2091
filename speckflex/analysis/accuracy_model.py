"""Accuracy as a sum over stages, and the exact search for the best settings under budgets."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np

from speckflex.errors import ComparisonError

__all__ = ["AccuracyModel", "fit_accuracy", "search_settings", "uniform_energy"]

TOLERANCE = 1e-9  # of budgets, for sums of floats in another order


@dataclass(frozen=True, eq=False)
class AccuracyModel:
    """The accuracy `c + sum_i w_i sqrt(t_i)` of a network in stages (MTT paper, A.8).

    `t_i` is the number of time steps of stage i; or, as a choice of this project, the number of its
    spikes on a board without time steps.

    Args:
        constant: c.
        weights: (stage,) float64, w.
        errors: (stage,) float64 standard error of each weight; NaN where there are no more
            measurements than unknowns.
        residual: root mean square of measured minus predicted accuracy.
    """

    constant: float
    weights: np.ndarray
    errors: np.ndarray
    residual: float

    def predict(self, amounts: np.ndarray) -> np.ndarray:
        """Return the (...) accuracy at (..., stage) amounts t."""
        return self.constant + np.sqrt(amounts) @ self.weights


def fit_accuracy(
    amounts: np.ndarray, accuracies: np.ndarray, *, samples: int, rising: bool = False
) -> AccuracyModel:
    """Fit the model by least squares.

    Args:
        amounts: (measurement, stage) t of each stage, 0 or more.
        accuracies: (measurement,) accuracy with them, 0 to 1.
        samples: number of samples behind each accuracy.
        rising: keep the weights at 0 or more, as the paper supposes them to be.

    Raises:
        ComparisonError: there are fewer measurements than stages and 2, or their accuracies differ
            by less than twice the error of chance, so that a fit says nothing.
    """
    amounts, accuracies = np.asarray(amounts, np.float64), np.asarray(accuracies, np.float64)
    n, n_stages = amounts.shape
    if n < n_stages + 2:
        raise ComparisonError(
            f"{n} measurements for {n_stages} stages: measure {n_stages + 2} or more settings"
        )
    _check_range(accuracies, samples)
    from scipy.optimize import lsq_linear  # takes half a second to load

    columns = np.column_stack([np.ones(n), np.sqrt(amounts)])
    lowest = np.r_[-np.inf, np.full(n_stages, 0.0 if rising else -np.inf)]
    fitted = lsq_linear(columns, accuracies, bounds=(lowest, np.full(n_stages + 1, np.inf))).x
    residues = accuracies - columns @ fitted
    freedom = n - n_stages - 1
    variance = float(residues @ residues) / freedom
    errors = np.sqrt(variance * np.diag(np.linalg.pinv(columns.T @ columns)))
    residual = float(np.sqrt((residues**2).mean()))
    return AccuracyModel(float(fitted[0]), fitted[1:], errors[1:], residual)


def _check_range(accuracies: np.ndarray, samples: int) -> None:
    spread, mean = float(np.ptp(accuracies)), float(accuracies.mean())
    error = np.sqrt(mean * (1 - mean) / samples)
    if spread >= 2 * error and spread > 0:
        return
    needed = f"{ceil(4 * mean * (1 - mean) / spread**2)} samples" if spread else "other settings"
    raise ComparisonError(
        f"the accuracies of all settings lie within {100 * spread:.2f} points, less than twice the"
        f" error of chance with {samples} samples ({100 * error:.2f} points): measure them with"
        f" {needed}"
    )


def uniform_energy(rates: np.ndarray, steps: int) -> float:
    """Return `E(T, ..., T) = sum_i r_i T`, the energy that a search must not exceed (A.9).

    Args:
        rates: (stage,) spikes, or synaptic operations, of each stage in a time step.
        steps: T of every stage.
    """
    return float(np.sum(rates) * steps)


def search_settings(
    values: np.ndarray, costs: np.ndarray, budgets: np.ndarray, *, n_best: int = 1
) -> list[tuple[int, ...]]:
    """Return the settings of all stages with the highest sum of values inside the budgets.

    A depth-first search (MTT paper, A.9). A branch is left if even the best choices of the stages
    that are open do not reach the worst kept sum, or if their cheapest choices exceed a budget. So
    the result is exact.

    Args:
        values: (stage, choice) what each choice of each stage adds.
        costs: (stage, choice, resource) what it takes of each resource, 0 or more.
        budgets: (resource,) what there is.
        n_best: number of settings to return at most.

    Returns:
        The choices of all stages, the best setting first; empty if none is inside the budgets.
    """
    values, costs = np.asarray(values, np.float64), np.asarray(costs, np.float64)
    budgets = np.asarray(budgets, np.float64)
    search = _Search(values, costs, budgets * (1 + TOLERANCE) + TOLERANCE, n_best)
    search.go_on([], 0.0, np.zeros(len(budgets)))
    ordered = np.argsort(search.order)
    return [tuple(int(choices[i]) for i in ordered) for _, choices in search.found]


class _Search:
    """The state of a depth-first search; the stage with the most to win comes first."""

    def __init__(
        self, values: np.ndarray, costs: np.ndarray, budgets: np.ndarray, n_best: int
    ) -> None:
        self.order = np.argsort(-np.ptp(values, axis=1), kind="stable")
        self.values, self.costs = values[self.order], costs[self.order]
        self.budgets, self.n_best = budgets, n_best
        # of the stages from each one on
        self.most = np.r_[np.cumsum(self.values.max(axis=1)[::-1])[::-1], 0.0]
        least = self.costs.min(axis=1)
        self.least = np.vstack([np.cumsum(least[::-1], axis=0)[::-1], np.zeros(len(budgets))])
        self.found: list[tuple[float, tuple[int, ...]]] = []

    def go_on(self, choices: list[int], value: float, cost: np.ndarray) -> None:
        """Try all choices of the next stage."""
        stage = len(choices)
        if len(self.found) == self.n_best and value + self.most[stage] <= self.found[-1][0]:
            return
        if (cost + self.least[stage] > self.budgets).any():
            return
        if stage == len(self.values):
            self.found = sorted([*self.found, (value, tuple(choices))], key=lambda one: -one[0])
            self.found = self.found[: self.n_best]
            return
        # the best choice first, so that later branches are cut early
        for choice in np.argsort(-self.values[stage], kind="stable"):
            self.go_on(
                [*choices, int(choice)],
                value + self.values[stage, choice],
                cost + self.costs[stage, choice],
            )
