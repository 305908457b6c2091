"""Bars that a user states: the sentence about a missed one, and the exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MISSED_BAR", "missed_min_accuracy", "missed_spike_difference"]

MISSED_BAR = 4


def missed_spike_difference(value: float | None, bar: float | None) -> str:
    """Return why the spike difference at the output misses `bar`; "" where it does not."""
    if bar is None or (value is not None and value <= bar):
        return ""
    if value is None:
        return (
            "the spike difference has no value (nothing to compare, or the reference never spikes),"
            f" the bar is {bar}"
        )
    return f"spike difference {value} is above {bar}"


def missed_min_accuracy(accuracy: Mapping[str, float | None], bar: float | None) -> str:
    """Return why the accuracy of the chip, else of the twin, misses `bar`; "" where it does not."""
    value = accuracy["twin"] if accuracy["chip"] is None else accuracy["chip"]
    if bar is None or (value is not None and value >= bar):
        return ""
    if value is None:
        return f"the accuracy has no value (no sample has a label), the bar is {bar}"
    return f"accuracy {value} is below {bar}"
