"""Intervals and tests of shares, against scipy's."""

import pytest
from scipy.stats import binomtest

from speckflex.recordings.measures import sign_test, wilson_interval


@pytest.mark.parametrize(("right", "n"), [(0, 1), (1, 1), (3, 10), (0, 50), (999, 1000)])
def test_the_interval_of_a_share_is_wilsons(right, n):
    expected = binomtest(right, n).proportion_ci(method="wilson")
    assert wilson_interval(right, n) == pytest.approx(tuple(expected), rel=1e-12, abs=1e-15)


def test_the_interval_of_none_or_all_ends_exactly_there():
    assert wilson_interval(0, 7)[0] == 0
    assert wilson_interval(7, 7)[1] == 1


@pytest.mark.parametrize(("worse", "better"), [(1, 0), (3, 7), (30, 12), (5, 5), (900, 1100)])
def test_the_sign_test_is_the_two_sided_binomial_test(worse, better):
    expected = binomtest(worse, worse + better).pvalue
    assert sign_test(worse, better) == pytest.approx(expected, rel=1e-9)


def test_without_a_pair_that_changed_chance_explains_all():
    assert sign_test(0, 0) == 1
