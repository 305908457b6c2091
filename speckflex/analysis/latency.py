"""When a network decides: the first spike of its last layer, and the last change of its answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.recordings.recording import Recording

__all__ = ["Latency", "decision_times", "measure_latency"]


@dataclass(frozen=True)
class Latency:
    """How long samples take to be decided, from their first input event on.

    Args:
        samples: number of samples whose output spikes and input are at hand.
        decided: number of those with a spike of the last layer; the times are over them.
        first_p50: µs to the first spike of the last layer, the median; null without any.
        first_p95: the same, the 95th percentile.
        stable_p50: µs to the decision that does not change any more, the median; null without any.
        stable_p95: the same, the 95th percentile.
        reason: why nothing was measured, "" if something was.
    """

    samples: int = 0
    decided: int = 0
    first_p50: float | None = None
    first_p95: float | None = None
    stable_p50: float | None = None
    stable_p95: float | None = None
    reason: str = ""


def measure_latency(recording: Recording, input_events: Sequence[np.ndarray]) -> Latency:
    """Return how long the samples of a recording take to be decided.

    Args:
        recording: with the spikes of its last layer, at least of the first samples.
        input_events: the streams that were played, of the same samples.
    """
    record = recording.layers[-1]
    if record.index != recording.n_layers - 1 or record.events is None:
        return Latency(reason="the spikes of the last layer were not kept")
    if record.potentials is not None:
        return Latency(reason="the last layer is read by its potentials, at the end of a sample")
    known = min(len(record.events), len(input_events))
    both = zip(record.events[:known], input_events[:known], strict=True)
    pairs = [(spikes, sample) for spikes, sample in both if len(sample)]
    times = [decision_times(spikes, int(sample["t"].min())) for spikes, sample in pairs]
    found = np.array([time for time in times if time is not None], np.float64).reshape(-1, 2)
    if not len(found):
        return Latency(samples=len(pairs), reason="the last layer has no spike")
    (first_p50, stable_p50), (first_p95, stable_p95) = np.percentile(found, (50, 95), axis=0)
    return Latency(
        samples=len(pairs),
        decided=len(found),
        first_p50=float(first_p50),
        first_p95=float(first_p95),
        stable_p50=float(stable_p50),
        stable_p95=float(stable_p95),
    )


def decision_times(spikes: np.ndarray, start: int) -> tuple[int, int] | None:
    """Return the µs to the first spike, and to the first moment from which the answer stays.

    The answer at a moment is the class with the most spikes so far, the lowest of several.

    Args:
        spikes: event array of the last layer in one sample, in the order in which they came.
        start: time of the first input event, µs.

    Returns:
        None if there is no spike.
    """
    if not len(spikes):
        return None
    classes = spikes["p"].astype(np.int64)
    n_classes = int(classes.max()) + 1
    so_far = np.cumsum(classes[:, None] == np.arange(n_classes), axis=0)
    leaders = so_far.argmax(axis=1)
    other = np.flatnonzero(leaders != leaders[-1])
    stable = other[-1] + 1 if len(other) else 0
    return int(spikes["t"][0]) - start, int(spikes["t"][stable]) - start
