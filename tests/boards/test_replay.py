"""A recording as a board: it plays the recorded samples and refuses all others."""

from dataclasses import replace

import numpy as np
import pytest
from programs import random_chain, random_events

from speckflex.boards import open_board
from speckflex.errors import BoardError, BoardNotFoundError
from speckflex.events.streams import hash_events
from speckflex.recordings.recording import concatenate_recordings


@pytest.fixture
def session(tmp_path, rng):
    """A program, samples of different lengths, the twin's recording of them, and its file."""
    program = random_chain(rng, 2)
    samples = [random_events(rng, program.input.shape, n) for n in (30, 50, 40, 20)]
    with open_board("twin", threads=1) as board:
        board.load(program)
        recording = board.play(samples).with_labels([0, 1, 2, 3])
    path = tmp_path / "run.h5"
    recording.save(path)
    return program, samples, recording, path


def test_a_session_is_replayed_in_parts_and_as_a_whole(session):
    program, samples, recording, path = session
    with open_board(f"replay:{path}") as board:
        board.load(program)
        parts = [board.play(samples[:1]), board.play(samples[1:])]
        board.load(program)
        whole = board.play(samples)
    for found in (concatenate_recordings(parts), whole):
        for layer in range(2):
            np.testing.assert_array_equal(found.counts(layer), recording.counts(layer))
            for sample in range(4):
                np.testing.assert_array_equal(
                    found.events(layer, sample), recording.events(layer, sample)
                )
        assert found.samples == recording.samples
        assert found.labels.tolist() == [0, 1, 2, 3]
    assert whole.provenance.kind == "replay"
    assert whole.provenance.settings["recorded_on"] == "twin"


def test_one_array_is_one_sample(session):
    program, samples, recording, path = session
    with open_board(f"replay:{path}") as board:
        board.load(program)
        found = board.play(samples[0], monitor=[-1], keep_events=False)
    np.testing.assert_array_equal(found.counts(-1)[0], recording.counts(-1)[0])
    assert found.n_samples == 1
    assert found.layer(-1).events is None


def test_another_program_is_refused(session):
    program, _, _, path = session
    other = replace(program, cores=(replace(program.cores[0], threshold_high=7), program.cores[1]))
    with (
        open_board(f"replay:{path}") as board,
        pytest.raises(BoardError, match=f"recording of program {program.sha256[:12]}, not of"),
    ):
        board.load(other)


def test_more_samples_than_were_recorded_are_refused(session):
    program, samples, _, path = session
    with open_board(f"replay:{path}") as board:
        board.load(program)
        board.play(samples[:3])
        with pytest.raises(BoardError, match="holds 4 samples, 5 were asked for"):
            board.play(samples[3:] + samples[:1])
        # the refused samples were not played
        board.play(samples[3:])


def test_samples_in_another_order_are_refused(session):
    program, samples, _, path = session
    with open_board(f"replay:{path}") as board:
        board.load(program)
        with pytest.raises(BoardError, match="sample 0 was recorded with 30 events, 50 are played"):
            board.play(samples[1])


def test_other_events_of_the_same_number_are_refused(session, tmp_path, rng):
    program, samples, recording, _ = session
    logs = tuple(
        replace(log, input_sha256=hash_events(events))
        for log, events in zip(recording.samples, samples, strict=True)
    )
    path = tmp_path / "hashed.h5"
    replace(recording, samples=logs).save(path)
    other = samples[0].copy()
    other["t"] += 1
    with open_board(f"replay:{path}") as board:
        board.load(program)
        with pytest.raises(BoardError, match="sample 0 was recorded with other events"):
            board.play(other)
        assert board.play(samples).n_samples == 4


def test_a_layer_that_was_not_monitored_is_refused(session, tmp_path):
    program, samples, recording, _ = session
    path = tmp_path / "last.h5"
    replace(recording, layers=recording.layers[1:]).save(path)
    with open_board(f"replay:{path}") as board:
        board.load(program)
        with pytest.raises(BoardError, match="layer 0 is not in the recording"):
            board.play(samples, monitor=[0])
        assert [layer.index for layer in board.play(samples).layers] == [1]


def test_spikes_that_were_only_counted_are_refused(session, tmp_path):
    program, samples, recording, _ = session
    path = tmp_path / "counts.h5"
    recording.without_events().save(path)
    with open_board(f"replay:{path}") as board:
        board.load(program)
        with pytest.raises(BoardError, match="play with keep_events=False"):
            board.play(samples)
        found = board.play(samples, keep_events=False)
    np.testing.assert_array_equal(found.counts(0), recording.counts(0))


def test_a_closed_board_and_one_without_a_program_refuse_to_play(session):
    program, samples, _, path = session
    with open_board(f"replay:{path}") as board, pytest.raises(BoardError, match="no program"):
        board.play(samples)
    with pytest.raises(BoardError, match="is closed"):
        board.load(program)


def test_a_file_that_is_no_recording_is_refused_as_a_board(tmp_path):
    path = tmp_path / "text.h5"
    path.write_text("no recording")
    for name in (path, tmp_path / "missing.h5"):
        with pytest.raises(BoardNotFoundError, match=name.name):
            open_board(f"replay:{name}")
