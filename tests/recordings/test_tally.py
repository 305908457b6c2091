"""Sums over the samples of recordings: parts add up to what numpy says of the whole."""

import numpy as np
import pytest

from speckflex.events.streams import make_events
from speckflex.recordings.compare import add_compared, compare, compare_part, difference_of
from speckflex.recordings.measures import sums_of_pair
from speckflex.recordings.recording import LayerRecord, Provenance, Recording, SampleLog
from speckflex.recordings.tally import add_tallies, tally_of

N, SHAPE = 9, (3, 4, 5)
CUTS = ((0, 4), (4, 5), (5, 9))


def a_recording(rng, *, potentials=False):
    """A recording of two layers with spikes as events in the first five samples."""
    counts = [rng.poisson(0.4, (N, *shape)) for shape in (SHAPE, (4, 1, 1))]
    streams = []
    for sample in counts[0][:5]:
        p, y, x = (np.repeat(axis, sample[sample > 0]) for axis in np.nonzero(sample))
        streams.append(make_events(np.sort(rng.integers(0, 99, len(p))), x, y, p))
    read = rng.integers(-9, 9, counts[1].shape) if potentials else None
    return Recording(
        layers=(
            LayerRecord(0, "conv", counts[0], tuple(streams)),
            LayerRecord(1, "out", counts[1], None, read),
        ),
        n_layers=2,
        samples=tuple(
            SampleLog(7 + n, 7, n, n % 2, "silence" if n % 3 else "deadline", f"{n}")
            for n in range(N)
        ),
        provenance=Provenance("", "twin", "twin", settings={"late_events": "2"}),
        labels=np.array([0, 1, 2, 3, -1, 1, 2, 3, 0]),
    )


@pytest.mark.parametrize("potentials", [False, True])
def test_compared_parts_add_up_to_the_comparison_of_the_whole(rng, potentials):
    a, b = (a_recording(rng, potentials=potentials) for _ in range(2))
    parts = [compare_part(a.part(*cut), b.part(*cut)) for cut in CUTS]
    tallies = [add_tallies([tally_of(one.part(*cut)) for cut in CUTS]) for one in (a, b)]
    added = difference_of(add_compared(parts), *tallies)
    assert added.to_dict() == compare(a, b).to_dict()
    first, second = a.layers[0].counts, b.layers[0].counts
    assert added.layers[0].spike_difference == np.abs(first - second).sum() / first.sum()
    assert added.layers[0].counts.squared_distance == ((first - second) ** 2).sum()


def test_a_tally_of_parts_says_what_the_recording_says(rng):
    recording = a_recording(rng)
    tally = add_tallies([tally_of(recording.part(*cut)) for cut in CUTS])
    np.testing.assert_array_equal(tally.layers[0].spikes, recording.counts(0).sum(axis=0))
    np.testing.assert_array_equal(tally.labels, recording.labels)
    assert tally.stopped == tuple(log.stopped for log in recording.samples)
    assert tally.lost_events == 4
    # of each part, as of the play of a chip that counts them in each of its calls
    assert tally.provenance.settings["late_events"] == "6"
    for sample, scores in enumerate(recording.counts(1)[:, :, 0, 0].tolist()):
        ordered = sorted(scores, reverse=True)
        answer = scores.index(ordered[0]) if any(scores) else -1
        row = {name: int(column[sample]) for name, column in tally.columns.items()}
        assert (row["answer"], row["score"], row["second"]) == (answer, *ordered[:2])
        assert row["total"] == sum(scores)
        assert row["spikes"] == sum(scores) + recording.counts(0)[sample].sum()
        assert row["written"] == 7 + sample


def test_sums_are_exact_where_floats_are_not():
    large = np.array([2**40 + 1, 3], np.int64)
    sums = sums_of_pair(large, np.array([5, 2**41 + 1], np.int64))
    assert sums.squares_a == (2**40 + 1) ** 2 + 9
    assert sums.product == 5 * (2**40 + 1) + 3 * (2**41 + 1)
    assert sums.squares_b == 25 + (2**41 + 1) ** 2
