"""Bars that a user states, and which of them a report misses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from speckflex.report.spelling import milliseconds, percent

if TYPE_CHECKING:
    from speckflex.report.record import Report

__all__ = ["Bars"]


@dataclass(frozen=True)
class Bars:
    """What a report has to reach; None for no bar.

    A figure without a value misses its bar: where nothing spikes, nothing agrees.

    Args:
        max_spike_difference: largest spike difference at the output, a fraction.
        min_accuracy: lowest accuracy of the chip, else of the twin, 0 to 1.
        min_accuracy_at: µs after the first input event, and the lowest accuracy of the chip, else
            of the twin, if its output is read until then, 0 to 1.
    """

    max_spike_difference: float | None = None
    min_accuracy: float | None = None
    min_accuracy_at: tuple[int, float] | None = None

    def missed(self, report: Report) -> tuple[str, ...]:
        """Return a sentence for each bar that the report misses."""
        found = (
            self.missed_difference(report),
            self.missed_accuracy(report),
            self.missed_accuracy_at(report),
        )
        return tuple(sentence for sentence in found if sentence)

    def missed_difference(self, report: Report) -> str:
        """Return how the report misses the bar of the spike difference, "" where it does not."""
        bar, value = self.max_spike_difference, report.spike_difference
        if bar is None or (value is not None and value <= bar):
            return ""
        if value is None:
            return f"the spike difference has no value ({_why(report)}), the bar is {bar}"
        return f"spike difference {value} is above {bar}"

    def missed_accuracy(self, report: Report) -> str:
        """Return how the report misses the bar of the accuracy, "" where it does not."""
        accuracy = report.accuracies.accuracy
        bar = self.min_accuracy
        value = accuracy["twin"] if accuracy["chip"] is None else accuracy["chip"]
        if bar is None or (value is not None and value >= bar):
            return ""
        if value is None:
            return f"the accuracy has no value (no sample has a label), the bar is {bar}"
        return f"accuracy {value} is below {bar} ({percent(value)})"

    def missed_accuracy_at(self, report: Report) -> str:
        """Return how the report misses the bar of the accuracy at a time, "" where it does not."""
        if self.min_accuracy_at is None:
            return ""
        time, bar = self.min_accuracy_at
        early = report.early_exits
        found = early.accuracy_at if early else None
        if found is not None and found.accuracy >= bar:
            return ""
        when = f"accuracy at {milliseconds(time)}"
        if found is None:
            reason = (
                early.early_exit_reason
                if early and early.early_exit_reason
                else "no sample has a label"
            )
            return f"the {when} has no value ({reason}), the bar is {bar}"
        return f"{when} is {found.accuracy}, below {bar} ({percent(found.accuracy)})"


def _why(report: Report) -> str:
    """Return why the main comparison has no spike difference."""
    if not report.comparisons:
        return "there is no second recording to compare with"
    pair = report.comparisons[0]
    layer = next(one for one in pair.layers if one.name == pair.spike_difference_layer)
    return f"layer {layer.name}: {layer.reason}"
