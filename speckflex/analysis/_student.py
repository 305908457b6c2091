"""Student's t distribution, for intervals around what was fitted to few values."""

from __future__ import annotations

from math import cos, nan, pi, sin, sqrt, tan

import numpy as np

__all__ = ["student_quantile"]

HALVINGS = 60  # of an interval of 1.6, down to the last bit of a double


def student_quantile(freedom: int, share: float = 0.95) -> float:
    """Return the t that `|T|` is below with a probability, by halving an interval.

    Args:
        freedom: degrees of freedom; below 1 there is no distribution, and the result is nan.
        share: the probability, 0 to 1; 0.95 gives the ends of a 95 % interval.
    """
    if freedom < 1:
        return nan
    low, high = 0.0, pi / 2
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if _share_within(middle, freedom) < share:
            low = middle
        else:
            high = middle
    return sqrt(freedom) * tan(low)


def _share_within(angle: float, freedom: int) -> float:
    """Return P(|T| < t) at `angle = atan(t / sqrt(freedom))` (Abramowitz and Stegun 26.7.3, 4)."""
    odd = freedom % 2
    # a sum of powers of the cosine; each factor is that of one term to the next
    steps = np.arange(2 + odd, freedom - 1, 2)
    factors = (steps - 1) / steps * cos(angle) ** 2
    terms = np.cumprod(factors).sum() + 1
    if not odd:
        return sin(angle) * float(terms)
    if freedom == 1:
        return 2 * angle / pi
    return 2 / pi * (angle + sin(angle) * cos(angle) * float(terms))
