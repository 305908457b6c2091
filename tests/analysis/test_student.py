"""Student's t against scipy's."""

import math

import pytest
from scipy.stats import t

from speckflex.analysis._student import student_quantile


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 10, 101, 100_000])
@pytest.mark.parametrize("share", [0.5, 0.95, 0.999])
def test_the_share_within_the_quantile_is_the_one_asked_for(freedom, share):
    expected = t.ppf((1 + share) / 2, freedom)
    assert student_quantile(freedom, share) == pytest.approx(expected, rel=1e-9)


def test_without_a_degree_of_freedom_there_is_none():
    assert math.isnan(student_quantile(0))
