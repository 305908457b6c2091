"""Losses that no counter tells of: an estimate from two plays, and spikes that came twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from speckflex.errors import ComparisonError
from speckflex.recordings.measures import sums_of_pair

if TYPE_CHECKING:
    from speckflex.recordings.compare import Difference
    from speckflex.recordings.recording import LayerRecord, Recording

__all__ = ["LossEstimate", "count_repeated_spikes", "estimate_losses", "losses_of"]


@dataclass(frozen=True)
class LossEstimate:
    """What two plays of the same samples say about lost or doubled spikes.

    Args:
        share: share of the spikes that were lost or doubled in one play; 1 or more says that the
            plays have hardly anything in common.
        spikes: the same as a number of spikes of one play, over all layers and samples.
        samples: number of samples.
    """

    share: float
    spikes: float
    samples: int


def estimate_losses(first: Recording, second: Recording) -> LossEstimate | None:
    """Return how many spikes were lost or doubled in a play; None where neither play spikes.

    If a board spikes n times at a neuron in each play and each spike is lost with probability p,
    the two counts differ by a number whose square has the mean 2 n p (1 - p), and their sum has
    the mean 2 n (1 - p). So `p = sum (S1 - S2)^2 / sum (S1 + S2)` over neurons and samples. This
    assumes that the board repeats itself and that spikes are lost one by one, at random. What
    both plays lose alike, such as every spike of one neuron, can't be seen this way.

    Args:
        first: one play.
        second: another play of the same samples.

    Raises:
        ComparisonError: they hold other samples or layers.
    """
    layers = [(record.index, record.counts.shape) for record in first.layers]
    if layers != [(record.index, record.counts.shape) for record in second.layers]:
        raise ComparisonError(
            f"the first play has {first.n_samples} samples and layers"
            f" {[index for index, _ in layers]}, the second {second.n_samples} and"
            f" {[record.index for record in second.layers]}: play the same samples twice"
        )
    pairs = zip(first.layers, second.layers, strict=True)
    sums = [sums_of_pair(one.counts, other.counts) for one, other in pairs]
    total = sum(int(record.counts.sum()) for one in (first, second) for record in one.layers)
    return _estimate(sum(one.squared_distance for one in sums), total, first.n_samples)


def losses_of(plays: Difference) -> LossEstimate | None:
    """Return the same of two plays that were compared already, in parts or as a whole.

    Args:
        plays: how far they differ, with all layers of both.
    """
    squares = sum(layer.counts.squared_distance for layer in plays.layers)
    total = sum(layer.spikes_a + layer.spikes_b for layer in plays.layers)
    return _estimate(squares, total, plays.n_samples)


def _estimate(squares: int, total: int, n_samples: int) -> LossEstimate | None:
    if not total:
        return None
    share = squares / total
    # a play received (1 - p) of what the board sent
    sent = total / 2 / (1 - share) if share < 1 else total / 2
    return LossEstimate(share, share * sent, n_samples)


def count_repeated_spikes(recording: Recording) -> int | None:
    """Return how many spikes repeat one of the same neuron and µs; None without events.

    A neuron that two events reach in the same µs may do so by itself; a board that sends its
    output twice does so more often than its twin.
    """
    kept = [record for record in recording.layers if record.events is not None]
    if not kept:
        return None
    return sum(_repeats(record, events) for record in kept for events in record.events or ())


def _repeats(record: LayerRecord, events: np.ndarray) -> int:
    _, height, width = record.shape
    address = (events["p"].astype(np.int64) * height + events["y"]) * width + events["x"]
    ordered = np.lexsort((events["t"], address))
    same = np.diff(address[ordered]) == 0
    return int((same & (np.diff(events["t"][ordered]) == 0)).sum())
