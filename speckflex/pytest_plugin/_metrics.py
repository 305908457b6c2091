"""What a test measured: kept in its JUnit case and in a file, and held against the bars."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from speckflex.pytest_plugin._cases import noted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from speckflex.pytest_plugin._choices import Choices
    from speckflex.recordings.recording import Recording

__all__ = ["BoardMetrics"]


class BoardMetrics:
    """Keeps what a test measured, in its JUnit properties and in the metrics file.

    Args:
        test: which test.
        choices: the board, the bars and the metrics file of the run.
    """

    def __init__(self, test: pytest.Item, choices: Choices) -> None:
        self._test, self._choices = test, choices

    def record(self, **values: Any) -> None:
        """Keep values by name; they must be numbers, text, or lists of them.

        White space in a name becomes "_", so that a name stays one word in any tool.
        """
        values = {"_".join(name.split()): value for name, value in values.items()}
        self._test.user_properties.extend(values.items())
        if self._choices.metrics is None:
            return
        line = {
            "test": self._test.nodeid,
            "board": self._choices.board,
            "program_sha256": noted(self._test, "program_sha256"),
            **values,
        }
        with self._choices.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")

    def record_difference(self, recording: Recording, other: Recording) -> float | None:
        """Compare two recordings, keep the spike difference of each layer, return the output's.

        Fails the test if there is a bar (`--max-spike-difference`) that the output misses. A
        difference without a value misses it: where nothing spikes, nothing agrees.

        Args:
            recording: the reference (MTT paper, Eq. 16), such as the board's.
            other: what is compared with it.

        Raises:
            ComparisonError: they can't be compared.
        """
        from speckflex.recordings.compare import compare

        difference = compare(recording, other)
        # an infinite difference has no place in JSON
        facts = difference.to_dict()
        layers = {
            f"spike_difference.{one['name']}": one["spike_difference"] for one in facts["layers"]
        }
        self.record(**layers)
        self.record(spike_difference=facts["spike_difference"])
        value, bar = difference.spike_difference, self._choices.bars.max_spike_difference
        if bar is not None and (value is None or value > bar):
            shown = "has no value" if value is None else f"is {value:.4g}"
            reason = difference.output.reason
            _miss(
                f"the spike difference at the output (layer {difference.output.name}) {shown}"
                f"{f' ({reason})' if reason else ''}: --max-spike-difference allows {bar}"
            )
        return value

    def record_accuracy(
        self, recording: Recording, labels: np.ndarray | None = None
    ) -> float | None:
        """Keep and return the accuracy of a recording; None where no sample has a label.

        Fails the test if there is a bar (`--min-accuracy`) that it misses, or has no value for.

        Args:
            recording: what a board returned.
            labels: (sample,) the class of each sample, negative for an unknown one; None for the
                recording's own.
        """
        from speckflex.recordings.compare import measure_accuracy

        accuracy = measure_accuracy(recording, labels)
        value = None if accuracy is None else accuracy.share
        self.record(accuracy=value)
        bar = self._choices.bars.min_accuracy
        if bar is not None and (value is None or value < bar):
            shown = "has no value (no sample has a label)" if value is None else f"is {value:.4g}"
            _miss(f"the accuracy {shown}: --min-accuracy asks for {bar}")
        return value

    def record_accuracy_at(
        self,
        recording: Recording,
        events: Sequence[np.ndarray],
        labels: np.ndarray | None = None,
        *,
        time: int = 100_000,
    ) -> float | None:
        """Keep and return the accuracy if the output is read up to a time; None without labels.

        Fails the test if there is a bar (`--min-accuracy-at`) that it misses, or has no value for;
        the time is then that of the bar.

        Args:
            recording: what a board returned, with the spikes of its last layer.
            events: the streams that were played, one for each sample.
            labels: (sample,) the class of each sample, negative for an unknown one; None for the
                recording's own.
            time: µs after the first input event of a sample.

        Raises:
            ComparisonError: the last layer is not read by spikes, or they were not kept.
        """
        from speckflex.analysis.exit_curves import accuracy_at

        bar = self._choices.bars.min_accuracy_at
        time, lowest = bar or (time, 0.0)
        value = accuracy_at(recording, events, time, labels)
        self.record(accuracy_at=value, accuracy_at_us=time)
        if bar is not None and (value is None or value < lowest):
            shown = "has no value (no sample has a label)" if value is None else f"is {value:.4g}"
            _miss(f"the accuracy at {time} µs {shown}: --min-accuracy-at asks for {lowest}")
        return value


def _miss(sentence: str) -> None:
    pytest.fail(sentence, pytrace=False)
