"""The model of the accuracy against weights that are known, its search against brute force."""

from itertools import product

import numpy as np
import pytest

from speckflex.analysis.accuracy_model import fit_accuracy, search_settings, uniform_energy
from speckflex.errors import ComparisonError


def brute_force(values, costs, budgets):
    """Return the sums of all settings inside the budgets, the highest first."""
    n_stages, n_choices = values.shape
    found = []
    for choices in product(range(n_choices), repeat=n_stages):
        cost = sum(costs[stage, choice] for stage, choice in enumerate(choices))
        if (cost <= budgets + 1e-9).all():
            found.append(sum(values[stage, choice] for stage, choice in enumerate(choices)))
    return sorted(found, reverse=True)


def test_the_search_finds_what_brute_force_finds_for_the_papers_energy(rng):
    """Four stages of up to six time steps under the energy of T = 3 (A.9)."""
    steps = np.arange(1, 7)
    for _ in range(25):
        weights, rates = rng.normal(0.2, 0.3, 4), rng.random(4)
        values = weights[:, None] * np.sqrt(steps)
        costs = (rates[:, None] * steps)[..., None]
        budget = np.array([uniform_energy(rates, 3)])
        best = search_settings(values, costs, budget)[0]
        reached = sum(values[stage, choice] for stage, choice in enumerate(best))
        assert reached == pytest.approx(brute_force(values, costs, budget)[0])
        assert sum(rates[i] * steps[choice] for i, choice in enumerate(best)) <= budget + 1e-9


def test_the_search_keeps_every_budget_and_returns_the_best_ones_in_order(rng):
    for _ in range(25):
        values, costs = rng.normal(size=(4, 4)), rng.random((4, 4, 3))
        budgets = rng.uniform(0.8, 2.0, 3)
        found = search_settings(values, costs, budgets, n_best=5)
        sums = [sum(values[i, choice] for i, choice in enumerate(one)) for one in found]
        assert np.allclose(sums, brute_force(values, costs, budgets)[:5])
        assert len(set(found)) == len(found)


def test_a_budget_that_no_setting_keeps_gives_none():
    assert search_settings(np.ones((2, 2)), np.ones((2, 2, 1)), np.array([1.9])) == []


def test_the_published_case_of_eight_stages_is_exact(rng):
    """6^8 settings, summed in slices of numpy."""
    weights, rates = rng.normal(0.2, 0.2, 8), rng.random(8)
    steps = np.arange(1, 7)
    values, costs = weights[:, None] * np.sqrt(steps), (rates[:, None] * steps)[..., None]
    budget = uniform_energy(rates, 3)
    first = np.add.outer(np.add.outer(np.add.outer(*values[:2]), values[2]), values[3]).ravel()
    first_cost = np.add.outer(
        np.add.outer(np.add.outer(*costs[:2, :, 0]), costs[2, :, 0]), costs[3, :, 0]
    ).ravel()
    second = np.add.outer(np.add.outer(np.add.outer(*values[4:6]), values[6]), values[7]).ravel()
    second_cost = np.add.outer(
        np.add.outer(np.add.outer(*costs[4:6, :, 0]), costs[6, :, 0]), costs[7, :, 0]
    ).ravel()
    best = max(
        float((value + second)[cost + second_cost <= budget + 1e-9].max(initial=-np.inf))
        for value, cost in zip(first, first_cost, strict=True)
    )
    found = search_settings(values, costs, np.array([budget]))[0]
    assert sum(values[i, choice] for i, choice in enumerate(found)) == pytest.approx(best)


def test_known_weights_are_found_again_within_their_errors(rng):
    weights, missed = np.array([0.05, 0.0, 0.1, 0.02]), 0
    for _ in range(20):
        steps = rng.integers(1, 7, (40, 4))
        accuracies = 0.4 + np.sqrt(steps) @ weights + rng.normal(0, 0.01, 40)
        model = fit_accuracy(steps, accuracies, samples=2000)
        missed += int((np.abs(model.weights - weights) > 3 * model.errors).sum())
        assert model.residual < 0.015
    assert missed <= 3  # of 80, of which 0.3 % lie beyond three errors


def test_rising_weights_are_never_negative(rng):
    steps = rng.integers(1, 7, (30, 2))
    accuracies = 0.5 + 0.1 * np.sqrt(steps[:, 0]) - 0.1 * np.sqrt(steps[:, 1])
    assert fit_accuracy(steps, accuracies, samples=5000).weights[1] < 0
    model = fit_accuracy(steps, accuracies, samples=5000, rising=True)
    assert model.weights.min() >= 0
    assert model.predict(steps).shape == (30,)


def test_accuracies_that_chance_explains_are_no_measurement():
    accuracies = np.array([0.90, 0.91, 0.90, 0.91, 0.90])
    # chance: sqrt(0.904 * 0.096 / 100) is 2.95 points; 1 point needs 4 * 0.0868 / 0.01^2 samples
    with pytest.raises(ComparisonError, match=r"within 1\.00 points.*measure them with 3472 sam"):
        fit_accuracy(np.arange(10).reshape(5, 2), accuracies, samples=100)


def test_too_few_measurements_are_refused():
    with pytest.raises(ComparisonError, match="3 measurements for 2 stages: measure 4 or more"):
        fit_accuracy(np.ones((3, 2)), np.array([0.1, 0.5, 0.9]), samples=100)
