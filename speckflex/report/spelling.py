"""How sentences and tables spell figures."""

from __future__ import annotations

__all__ = [
    "factor",
    "interval",
    "known",
    "millions",
    "milliseconds",
    "percent",
    "plural",
    "points",
]


def percent(share: float | None, digits: int = 2) -> str:
    """Return a share as a percentage, "-" where there is none.

    A share that is not 0 is not shown as 0.
    """
    if share is None:
        return "-"
    smallest = 10.0**-digits
    if 0 < 100 * share < smallest:
        return f"< {smallest:.{digits}f} %"
    return f"{100 * share:.{digits}f} %"


def interval(bounds: tuple[float, float]) -> str:
    """Return two shares as the ends of an interval of percentages."""
    return f"{100 * bounds[0]:.1f} to {100 * bounds[1]:.1f} %"


def points(lost: float | None) -> str:
    """Return percentage points with two digits, "-" where there are none."""
    return "-" if lost is None else f"{lost + 0.0:.2f}"


def factor(ratio: float) -> str:
    """Return a ratio of totals in words, such as "5.5 % more" or "4.2 times as many"."""
    if ratio >= 2:
        return f"{ratio:.3g} times as many"
    change = 100 * (ratio - 1)
    if abs(change) < 0.05:
        return "as many"
    return f"{abs(change):.1f} % {'more' if change > 0 else 'fewer'}"


def milliseconds(microseconds: float | None) -> str:
    """Return a duration (µs) in milliseconds, "-" where there is none."""
    return "-" if microseconds is None else f"{_three_digits(microseconds / 1000)} ms"


def millions(rate: float | None) -> str:
    """Return a rate in millions, "-" where there is none."""
    return "-" if rate is None else f"{_three_digits(rate / 1e6)} M"


def known(value: object) -> str:
    """Return a value as it is, "-" where there is none."""
    return "-" if value is None else str(value)


def plural(count: int, noun: str) -> str:
    """Return a number of things, such as "1 sample" or "2 samples"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _three_digits(value: float) -> str:
    """Return the value to three digits, without an exponent where it is large."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:.0f}" if rounded >= 100 else f"{rounded:.3g}"
