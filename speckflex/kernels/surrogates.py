"""The kinds of surrogate gradient, as a function of u: see `if_backward.fill_slopes`."""

__all__ = ["EXPONENTIAL", "GIVEN", "TRIANGULAR"]

GIVEN, EXPONENTIAL, TRIANGULAR = 0, 1, 2
