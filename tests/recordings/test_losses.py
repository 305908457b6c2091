"""Losses estimated from two plays, against spikes that were thrown away on purpose."""

import numpy as np
import pytest

from speckflex.errors import ComparisonError
from speckflex.events.streams import make_events
from speckflex.recordings.losses import count_repeated_spikes, estimate_losses
from speckflex.recordings.recording import LayerRecord, Provenance, Recording, SampleLog

ORIGIN = Provenance("ab", "chip:0", "chip")


def recording(counts: np.ndarray, events: tuple | None = None) -> Recording:
    logs = (SampleLog(0, 0, 0),) * len(counts)
    return Recording((LayerRecord(0, "out", counts, events),), 1, logs, ORIGIN)


@pytest.mark.parametrize("share", [0.0, 0.003, 0.01, 0.1, 0.4])
@pytest.mark.parametrize("spikes_per_neuron", [1, 50])
def test_the_share_that_was_thrown_away_is_found(share: float, spikes_per_neuron: int):
    rng = np.random.default_rng(0)
    sent = rng.poisson(spikes_per_neuron, (4, 20, 30, 30))
    plays = [recording(rng.binomial(sent, 1 - share)) for _ in range(2)]
    found = estimate_losses(*plays)
    assert found is not None
    assert found.share == pytest.approx(share, rel=0.1)
    thrown = sent.sum() - plays[0].counts(0).sum()
    assert found.spikes == pytest.approx(thrown, rel=0.1)


def test_without_a_spike_there_is_no_estimate():
    silent = recording(np.zeros((2, 1, 1, 1), int))
    assert estimate_losses(silent, silent) is None


def test_plays_of_other_samples_are_refused():
    one, two = (recording(np.ones((n, 1, 1, 1), int)) for n in (1, 2))
    with pytest.raises(ComparisonError, match="play the same samples twice"):
        estimate_losses(one, two)


def test_a_spike_of_the_same_neuron_and_time_is_a_repeat():
    # time, x, y, p: the second, third and last repeat the first; the others differ in one field
    rows = np.array([(5, 1, 0, 0)] * 3 + [(5, 0, 0, 0), (5, 1, 1, 0), (6, 1, 0, 0), (5, 1, 0, 0)])
    counts = np.zeros((1, 1, 2, 2), int)
    assert count_repeated_spikes(recording(counts, (make_events(*rows.T),))) == 3
    assert count_repeated_spikes(recording(counts)) is None
