"""Calibration with fixed weights: what it finds, keeps, and refuses."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import speckflex as sf
from speckflex.analysis.calibration import calibrate, split_by_class
from speckflex.cli import main
from speckflex.errors import EventsError
from speckflex.events.streams import make_events
from speckflex.recordings.measures import paired_gain


def two_classes(high=12, weights=(8, 8)):
    """A layer that passes each channel on, and one that counts for a class for each channel."""
    gate = sf.Core(
        name="gate",
        weights=np.array([[[[weights[0]]], [[0]]], [[[0]], [[weights[1]]]]]),
        threshold_high=high,
        threshold_low=-100,
        input_shape=(2, 1, 1),
        destinations=(sf.Destination(1),),
    )
    vote = sf.Core(
        name="vote",
        weights=np.array([[[[8]], [[-8]]], [[[-8]], [[8]]]]),
        threshold_high=8,
        threshold_low=-100,
        input_shape=(2, 1, 1),
    )
    stage = sf.InputStage(shape=(2, 1, 1), destinations=(sf.Destination(0),))
    return sf.Program((gate, vote), stage, "unbounded")


def recordings(n=20, lengths=(1, 3)):
    """One event of the class's own channel is all that the weakest recordings have."""
    samples, labels = [], []
    for index in range(n):
        label, length = index % 2, lengths[index // 2 % len(lengths)]
        times = np.arange(length) * 10
        zeros = np.zeros(length, int)
        samples.append(make_events(times, zeros, zeros, np.full(length, label)))
        labels.append(label)
    return samples, np.array(labels)


def right(program, samples, labels):
    with sf.open_board("twin") as board:
        board.load(program)
        return board.play(samples).answers() == labels


def test_a_start_lets_single_events_count_that_the_threshold_swallowed():
    """One event of 8 never reaches 12; from 6 on, or at a lower threshold with a start, it does."""
    program, (samples, labels) = two_classes(), recordings()
    assert right(program, samples, labels).mean() == 0.5
    found = calibrate(program, samples, labels)
    assert right(found.program, samples, labels).all()
    assert found.loss_after < found.loss_before
    names = [change.name for change in found.changes]
    assert "gate" in names
    for old, new in zip(program.cores, found.program.cores, strict=True):
        assert np.array_equal(old.weights, new.weights)
        assert old.threshold_low == new.threshold_low
        changed = (new.threshold_high, new.initial_state is None) != (old.threshold_high, True)
        assert changed == (old.name in names)


def test_the_loss_is_the_cross_entropy_of_two_tenths_a_spike():
    """Three events a recording fire the gate twice and the vote twice: by hand."""
    program, (samples, labels) = two_classes(), recordings(lengths=(3,))
    found = calibrate(program, samples, labels, rounds=1)
    scores = np.array([0.4, 0.0])
    assert found.loss_before == pytest.approx(np.log(np.exp(scores).sum()) - 0.4)


def test_nothing_changes_where_nothing_lowers_the_loss():
    """Weights of 0 never fire, whatever the threshold."""
    program, (samples, labels) = two_classes(weights=(0, 0)), recordings()
    found = calibrate(program, samples, labels)
    assert found.program.sha256 == program.sha256
    assert (found.changes, found.loss_after) == ((), found.loss_before)
    assert found.n_programs < 30  # a round without a change is the last


def test_the_recordings_that_choose_are_spread_over_the_classes_and_measure_nothing():
    labels = np.array([0] * 30 + [1] * 8 + [2] * 12)
    first, others = split_by_class(labels, 12, seed=3)
    assert np.bincount(labels[first]).tolist() == [4, 4, 4]
    assert sorted([*first, *others]) == list(range(50))
    with pytest.raises(EventsError, match="50 recordings can't be split into 50 and some others"):
        split_by_class(labels, 50, seed=0)


@pytest.mark.parametrize(("label", "shown"), [(2, "0 to 2"), (-1, "-1 to 1")])
def test_labels_that_the_program_can_not_score_are_refused(label, shown):
    samples, labels = recordings()
    labels[0] = label
    with pytest.raises(EventsError, match=f"have classes {shown}, the program scores 2"):
        calibrate(two_classes(), samples, labels)


def saved_recordings(folder, n):
    samples, labels = recordings(n)
    for index, (events, label) in enumerate(zip(samples, labels, strict=True)):
        place = folder / str(label)
        place.mkdir(parents=True, exist_ok=True)
        np.save(place / f"{index:03}.npy", events)


def test_the_command_writes_what_won_and_refuses_what_did_not(tmp_path):
    saved_recordings(tmp_path / "data", 60)
    two_classes().save(tmp_path / "before.speck")
    words = ["calibrate", str(tmp_path / "before.speck"), "--data", str(tmp_path / "data")]
    words += ["--calibrate-on", "20", "--sensor", "1,1", "-o", str(tmp_path / "after.speck")]
    result = CliRunner().invoke(main, [*words, "--json"])
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["calibrated_on"] == 20
    assert facts["gain"]["recordings"] == 40
    after = sf.Program.load(tmp_path / "after.speck")
    assert after.sha256 == facts["sha256"]
    assert "on 20 recordings" in after.metadata["calibration"]
    # the gain, counted again by hand on all 60
    samples, labels = recordings(60)
    won = paired_gain(right(two_classes(), samples, labels), right(after, samples, labels))
    assert (won.before, won.after) == (0.5, 1.0)
    assert facts["gain"]["after"] == 1.0
    # nothing is left to win
    again = [words[0], str(tmp_path / "after.speck"), *words[2:-1], str(tmp_path / "third.speck")]
    result = CliRunner().invoke(main, again)
    assert result.exit_code == 1
    assert "nothing was written: train on instead" in " ".join(result.output.split())
    assert not (tmp_path / "third.speck").exists()
