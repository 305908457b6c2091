"""What differs between two recordings, against formulas and brute force."""

import json
from collections.abc import Sequence
from dataclasses import replace
from math import inf, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speckflex import Recording, compare
from speckflex.errors import ComparisonError
from speckflex.events.streams import make_events
from speckflex.recordings.divergence import find_divergence
from speckflex.recordings.measures import (
    confusion_matrix,
    cosine_similarity,
    relative_difference,
    wilson_interval,
)
from speckflex.recordings.recording import LayerRecord, Provenance, SampleLog

SHAPE = (2, 2, 3)


def stream(*rows: Sequence[int]):
    """Return events from rows of time, channel, y, x."""
    t, p, y, x = np.array(rows, np.int64).reshape(-1, 4).T
    return make_events(t, x, y, p)


def record(*samples: Any, index: int = 0, **changes: Any):
    counts = np.zeros((len(samples), *SHAPE), np.int64)
    for sample, events in enumerate(samples):
        np.add.at(counts[sample], (events["p"], events["y"], events["x"]), 1)
    return replace(LayerRecord(index, f"layer{index}", counts, tuple(samples)), **changes)


def recording(*layers: LayerRecord, labels: Any = None, program: str = "ab", n_layers: int = 0):
    n_samples = len(layers[0].counts) if layers else 0
    return Recording(
        layers,
        n_layers or len(layers),
        (SampleLog(0, 0, 0),) * n_samples,
        Provenance(program, "twin", "twin"),
        None if labels is None else np.array(labels),
    )


def output(scores: Any, **changes: Any):
    counts = np.array(scores, np.int64)[:, :, None, None]
    return replace(LayerRecord(0, "out", counts), **changes)


A, B, C = (0, 0, 0), (1, 1, 2), (0, 1, 1)


def test_what_is_no_recording_is_not_compared():
    with pytest.raises(ComparisonError, match="a str can't be compared, it is no Recording: read"):
        compare("a.h5", "b.h5")  # pyright: ignore[reportArgumentType]


def test_spike_difference_is_equation_16():
    a, b = output([[4, 0], [2, 2]]), output([[3, 1], [2, 0]])
    layer = compare(recording(a), recording(b)).layers[0]
    assert layer.spike_difference == (1 + 1 + 0 + 2) / 8
    np.testing.assert_array_equal(layer.per_sample, [2 / 4, 2 / 4])
    assert (layer.spikes_a, layer.spikes_b) == (8, 6)


def test_the_reference_alone_is_the_denominator():
    a, b = recording(output([[4, 0]])), recording(output([[1, 0]]))
    assert compare(a, b).spike_difference == 3 / 4
    assert compare(b, a).spike_difference == 3


def test_two_silent_layers_have_nothing_to_compare():
    difference = compare(recording(output([[0, 0]])), recording(output([[0, 0]])))
    layer = difference.layers[0]
    assert (layer.spike_difference, layer.cosine, layer.spike_ratio) == (None, None, None)
    assert layer.reason == "neither recording has a spike in this layer"
    assert np.isnan(layer.per_sample).all()
    assert layer.first_divergence is None
    assert difference.spike_difference is None
    assert difference.agreement == 0


def test_a_sample_without_an_answer_is_neither_right_nor_in_agreement():
    labels = np.array([0, 0, 1])
    a = recording(output([[0, 0], [3, 1], [0, 2]])).with_labels(labels)
    b = recording(output([[0, 0], [2, 1], [0, 0]]))
    difference = compare(a, b)
    assert difference.agreement == pytest.approx(1 / 3)
    assert difference.accuracy_a is not None
    assert difference.accuracy_a.share == pytest.approx(2 / 3) == a.accuracy()
    np.testing.assert_array_equal(difference.accuracy_a.confusion, [[1, 0], [0, 1]])
    np.testing.assert_allclose(difference.accuracy_a.per_class, [0.5, 1])


def test_a_silent_reference_gives_an_infinite_difference_and_strict_json():
    difference = compare(recording(output([[0, 0]])), recording(output([[1, 0]])))
    assert difference.spike_difference == inf
    facts = json.loads(json.dumps(difference.to_dict(), allow_nan=False))
    assert facts["layers"][0]["spike_difference"] is None
    assert "the reference has no spike" in facts["layers"][0]["reason"]


def test_cosine_is_the_normalised_product(rng: np.random.Generator):
    a, b = rng.integers(0, 9, (2, 5, 4))
    expected = (a * b).sum() / sqrt((a**2).sum() * (b**2).sum())
    assert cosine_similarity(a, b) == pytest.approx(expected)
    assert cosine_similarity(a, 0 * a) is None


def test_narrow_integers_do_not_overflow():
    a, b = np.array([-100, 100], np.int8), np.array([100, -100], np.int8)
    assert relative_difference(a, b) == 2


def test_wilson_interval_matches_the_published_example():
    # Newcombe 1998, table I: 81 of 263, method 3 (score without continuity correction).
    low, high = wilson_interval(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_bounds_solve_their_equation(case: Any):
    right, n = case
    for bound in wilson_interval(right, n):
        z2 = 1.959963984540054**2
        assert (right / n - bound) ** 2 == pytest.approx(z2 * bound * (1 - bound) / n, abs=1e-9)


def test_confusion_counts_every_sample_once(rng: np.random.Generator):
    labels, predictions = rng.integers(0, 4, (2, 50))
    matrix = confusion_matrix(labels, predictions, 4)
    for row in range(4):
        for column in range(4):
            both = (labels == row) & (predictions == column)
            assert matrix[row, column] == both.sum()


def test_accuracies_agreement_and_confusion_come_with_labels():
    a = recording(output([[2, 0], [0, 2], [2, 0]]), labels=[0, 1, 1])
    b = recording(output([[2, 0], [2, 0], [2, 0]]))
    difference = compare(a, b)
    assert difference.accuracy_a is not None
    assert difference.accuracy_b is not None
    assert difference.accuracy_a.share == 2 / 3
    assert difference.accuracy_b.share == 1 / 3
    assert difference.agreement == 2 / 3
    np.testing.assert_array_equal(difference.accuracy_b.confusion, [[1, 0], [2, 0]])


def test_each_class_has_its_own_accuracy():
    a = recording(output([[2, 0, 0], [0, 2, 0], [2, 0, 0]]), labels=[0, 1, 1])
    accuracy = compare(a, a).accuracy_a
    assert accuracy is not None
    np.testing.assert_array_equal(accuracy.per_class, [1, 1 / 2, np.nan])
    assert accuracy.to_dict()["per_class"] == [1, 1 / 2, None]


def test_without_labels_there_is_no_accuracy():
    difference = compare(recording(output([[1, 0]])), recording(output([[1, 0]])))
    assert difference.accuracy_a is None
    assert difference.agreement == 1


def test_samples_with_an_unknown_label_do_not_count():
    a = recording(output([[2, 0], [0, 2], [2, 0]]), labels=[0, -1, 1])
    difference = compare(a, a)
    assert difference.accuracy_a is not None
    assert difference.accuracy_a.share == a.accuracy() == 1 / 2
    assert difference.accuracy_a.confusion.sum() == 2


def test_labels_beyond_the_outputs_widen_the_confusion_matrix():
    difference = compare(recording(output([[1, 0]]), labels=[5]), recording(output([[1, 0]])))
    assert difference.accuracy_a is not None
    assert difference.accuracy_a.confusion.shape == (6, 6)


def test_equal_streams_do_not_diverge():
    one = record(stream((1, *A), (5, *B)))
    assert find_divergence(one, one) is None


def test_times_alone_are_no_divergence():
    one, other = record(stream((1, *A), (5, *B))), record(stream((101, *A), (105, *B)))
    assert find_divergence(one, other) is None


def test_the_first_different_address_is_named():
    one = record(stream(), stream((1, *A), (5, *B), (9, *A)))
    other = record(stream(), stream((1, *A), (6, *C), (9, *A)))
    found = find_divergence(one, other)
    assert found is not None
    assert (found.sample, found.index) == (1, 1)
    assert (found.time_a, found.time_b) == (5, 6)
    assert (found.address_a, found.address_b) == (B, C)
    assert found.describe("torch", "the twin") == (
        "sample 1, event 1: torch spikes at (channel 1, y 1, x 2) at 5 µs,"
        " the twin spikes at (channel 0, y 1, x 1) at 6 µs"
    )


def test_the_order_of_simultaneous_events_is_free():
    one, other = record(stream((1, *A), (1, *B))), record(stream((1, *B), (1, *A)))
    difference = compare(recording(one), recording(other)).layers[0]
    assert difference.first_divergence is None
    assert difference.reordered_samples == 1


def test_the_order_of_events_at_different_times_counts():
    one, other = record(stream((1, *A), (2, *B))), record(stream((1, *B), (2, *A)))
    found = find_divergence(one, other)
    assert found is not None
    assert found.index == 0


def test_a_missing_last_event_is_spelled_out():
    one, other = record(stream((1, *A), (5, *B))), record(stream((1, *A)))
    found = find_divergence(one, other)
    assert found is not None
    assert found.describe("a", "b").endswith("b has no further spike")
    assert found.index == 1


def test_an_extra_event_among_simultaneous_ones_is_the_one_named():
    one, other = record(stream((1, *A))), record(stream((1, *B), (1, *A)))
    found = find_divergence(one, other)
    assert found is not None
    assert (found.index, found.address_b) == (0, B)


def brute_force_divergence(a: np.ndarray, b: np.ndarray):
    """Return whether streams with distinct times differ, and at which event."""
    for index in range(max(len(a), len(b))):
        if index >= len(a) or index >= len(b):
            return index
        if any(a[index][name] != b[index][name] for name in ("p", "y", "x")):
            return index
    return None


ADDRESSES = st.lists(st.sampled_from([A, B, C]), max_size=6)


@given(ADDRESSES, ADDRESSES)
def test_without_ties_the_first_difference_in_order_is_found(one: Any, other: Any):
    a, b = (stream(*[(t, *address) for t, address in enumerate(row)]) for row in (one, other))
    found = find_divergence(record(a), record(b))
    expected = brute_force_divergence(a, b)
    assert (None if found is None else found.index) == expected


@given(ADDRESSES, ADDRESSES)
def test_when_all_is_simultaneous_only_the_multiset_counts(one: Any, other: Any):
    a, b = (stream(*[(7, *address) for address in row]) for row in (one, other))
    found = find_divergence(record(a), record(b))
    assert (found is None) == (sorted(one) == sorted(other))


def test_a_recording_in_time_bins_is_compared_bin_by_bin():
    fine = record(
        stream((1, *A), (2, *A), (3, *B), (4, *A), (11, *C), (12, *B), (13, *C), (14, *A))
    )
    same = record(
        stream(*[(10, *address) for address in (B, A, A, A)], *[(20, *a) for a in (A, B, C, C)])
    )
    other = record(
        stream(*[(10, *address) for address in (B, A, A, A)], *[(20, *a) for a in (B, B, C, C)])
    )
    assert find_divergence(fine, same) is None
    found = find_divergence(other, fine)
    assert found is not None
    assert (found.kind, found.time_a, found.address_a) == ("bin", 20, A)
    assert found.describe("torch", "the twin") == (
        "sample 0, up to 20 µs: torch has 3 spikes at (channel 0, y 0, x 0), the twin 4"
    )


@given(ADDRESSES, st.permutations(range(6)))
def test_the_order_inside_a_bin_is_free(one: Any, order: Any):
    fine = stream(*[(t, *address) for t, address in enumerate(one)])
    binned = stream(*[(9, *one[place]) for place in order if place < len(one)])
    assert find_divergence(record(fine), record(binned)) is None


def test_counts_alone_name_the_first_neuron():
    one = record(stream((1, *A), (5, *B)), events=None)
    other = record(stream((1, *A)), events=None)
    found = find_divergence(one, other)
    assert found is not None
    assert (found.kind, found.address_a, found.count_a, found.count_b) == ("neuron", B, 1, 0)
    assert "neuron (channel 1, y 1, x 2): a counted 1 spike, b 0" in found.describe("a", "b")


def test_samples_without_events_are_compared_by_counts():
    one = record(stream((1, *A)), stream((1, *B)))
    one = replace(one, events=(stream((1, *A)),))
    other = record(stream((1, *A)), stream())
    found = find_divergence(one, other)
    assert found is not None
    assert (found.sample, found.kind) == (1, "neuron")


def test_the_first_divergent_layer_is_the_first_in_network_order():
    same = record(stream((1, *A)))
    moved = record(stream((1, *B)), index=1)
    difference = compare(recording(same, replace(same, index=1)), recording(same, moved))
    assert difference.first_divergent_layer is difference.layers[1]
    assert compare(recording(same), recording(same)).first_divergent_layer is None


def test_only_layers_that_both_monitored_are_compared():
    first, second = record(stream((1, *A))), record(stream(), index=1)
    a, b = recording(first, second), recording(second, n_layers=2)
    difference = compare(a, b)
    assert [layer.index for layer in difference.layers] == [1]
    with pytest.raises(ComparisonError, match="layer 0 was not compared, only 1"):
        difference.layer(0)


def test_potentials_are_compared_where_the_layer_never_spikes():
    quiet = output([[0, 0]])
    a = replace(quiet, potentials=np.array([10, -30]).reshape(1, 2, 1, 1))
    b = replace(quiet, potentials=np.array([14, -30]).reshape(1, 2, 1, 1))
    spiking = output([[3, 1]])
    difference = compare(
        recording(spiking, replace(a, index=1, name="readout")),
        recording(output([[3, 0]]), replace(b, index=1, name="readout")),
    )
    readout = difference.layers[1]
    assert readout.spike_difference is None
    assert readout.potential_difference == 4 / 40
    assert readout.first_divergence is not None
    assert readout.first_divergence.describe("a", "b") == (
        "sample 0, neuron (channel 0, y 0, x 0): a ends at potential 10, b at 14"
    )
    assert difference.spike_difference == 1 / 4
    assert difference.output.name == "out"
    json.dumps(difference.to_dict(), allow_nan=False)


def test_samples_played_with_other_events_are_counted():
    a = recording(output([[1, 0], [1, 0], [1, 0]]))
    hashed = [
        replace(log, input_sha256=digest) for log, digest in zip(a.samples, "xy-", strict=True)
    ]
    b = replace(a, samples=(*hashed[:2], a.samples[2]))
    c = replace(b, samples=tuple(replace(log, input_sha256="x") for log in b.samples))
    assert compare(a, b).unlike_inputs == 0
    assert compare(b, c).unlike_inputs == 1


def test_a_noise_floor_travels_along():
    a, b = recording(output([[4, 0]])), recording(output([[3, 0]]))
    floor = compare(a, a)
    facts = compare(a, b, noise_floor=floor).to_dict()
    assert facts["noise_floor"]["spike_difference"] == 0


UNLIKE = {
    "program": (
        recording(output([[1, 0]])),
        recording(output([[1, 0]]), program="cd"),
        "ran program ab, twin ran cd",
    ),
    "samples": (
        recording(output([[1, 0]])),
        recording(output([[1, 0], [1, 0]])),
        "has 1 samples, twin has 2",
    ),
    "layers": (
        recording(output([[1, 0]])),
        recording(output([[1, 0]]), n_layers=2),
        "has 1 layers, twin has 2",
    ),
    "shapes": (
        recording(output([[1, 0]])),
        recording(output([[1, 0, 0]])),
        r"layer out: has shape \(2, 1, 1\) in one recording and \(3, 1, 1\)",
    ),
    "labels": (
        recording(output([[1, 0]]), labels=[0]),
        recording(output([[1, 0]]), labels=[1]),
        "sample 0 has label 0 on twin and 1 on twin",
    ),
    "no common layer": (
        recording(record(stream()), n_layers=2),
        recording(record(stream(), index=1), n_layers=2),
        "no monitored layer in common",
    ),
}


@pytest.mark.parametrize("what", UNLIKE)
def test_recordings_that_do_not_match_are_refused_in_one_line(what: str):
    a, b, message = UNLIKE[what]
    with pytest.raises(ComparisonError, match=message) as caught:
        compare(a, b)
    assert "\n" not in str(caught.value)


def test_other_programs_compare_when_asked():
    a, b, _ = UNLIKE["program"]
    assert compare(a, b, same_program=False).spike_difference == 0
