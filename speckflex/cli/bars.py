"""Bars that a user states: what to say, and how to exit, where one is missed."""

from __future__ import annotations

from typing import Any

__all__ = ["MISSED_BAR", "missed_min_accuracy", "missed_spike_difference"]

MISSED_BAR = 4


def missed_spike_difference(report: dict[str, Any], bar: float | None) -> str:
    """Return why the outputs' spikes miss `bar`; "" where they reach it or there is none."""
    value = report["spike_difference"]
    if bar is None or (value is not None and value <= bar):
        return ""
    if value is None:
        return (
            f"the spike difference has no value (nothing to compare, or a silent reference),"
            f" the bar is {bar}"
        )
    return f"spike difference {value} is above {bar}"


def missed_min_accuracy(report: dict[str, Any], bar: float | None) -> str:
    """Return why the board's accuracy misses `bar`; "" where it reaches it or there is none."""
    accuracy = report["accuracy"]
    value = accuracy["chip"] if accuracy.get("chip") is not None else accuracy["twin"]
    if bar is None or (value is not None and value >= bar):
        return ""
    if value is None:
        return f"the accuracy has no value (no sample has a label), the bar is {bar}"
    return f"accuracy {value} is below {bar}"
