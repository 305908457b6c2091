"""After a fault of the device: losses are reported, nothing hangs, the device is released."""

import time
from dataclasses import replace

import numpy as np
import pytest
from virtual_boards import rising_events, single_core, square_chain

from speckflex import virtual
from speckflex.boards.chip._checks import check_states
from speckflex.boards.chip._layers import placed_layers
from speckflex.boards.chip.attached import devices_of
from speckflex.boards.chip.settings import ChipSettings
from speckflex.boards.twin import Twin
from speckflex.boards.virtual import open_virtual
from speckflex.errors import BoardError
from speckflex.virtual import Faults

PROGRAM = square_chain(np.random.default_rng(17), n_cores=3)
EVENTS = rising_events(np.random.default_rng(5), PROGRAM.input.shape, 400)
# seconds after which a test counts as hanging; all deadlines are much shorter
HANG = 20.0


@pytest.fixture(autouse=True)
def released():
    """Check after each test that no device is left and that one can be opened again."""
    before, started = devices_of(virtual.stand_in()), time.monotonic()
    yield
    assert time.monotonic() - started < HANG
    assert devices_of(virtual.stand_in()) == before
    with open_virtual("speck2e") as board:
        board.load(single_core())
        assert board.play(EVENTS[:0]).n_samples == 1


@pytest.fixture(scope="module")
def expected():
    """The twin's recording."""
    with Twin(threads=1) as twin:
        twin.load(PROGRAM)
        return twin.play(EVENTS)


def play(faults, **settings):
    """Load and play on a devkit with faults."""
    with open_virtual("speck2e", faults=faults, **settings) as board:
        board.load(PROGRAM)
        return board.play(EVENTS)


def test_a_device_that_is_unplugged_while_it_plays_is_reported():
    with open_virtual("speck2e", faults=Faults(unplug_after=500)) as board:
        board.load(PROGRAM)
        with pytest.raises(BoardError, match="was unplugged: plug it in and open the board again"):
            board.play([EVENTS] * 5)


def test_a_device_that_is_unplugged_during_the_upload_is_reported():
    with pytest.raises(BoardError, match="unplugged"):
        play(Faults(unplug_after=5))


def test_delayed_answers_do_not_change_the_spikes(expected):
    found = play(Faults(delay=0.3))
    for layer in range(3):
        np.testing.assert_array_equal(found.counts(layer), expected.counts(layer))
    assert found.lost_events == 0


def test_answers_slower_than_the_deadline_are_an_error():
    with pytest.raises(BoardError, match=r"did not answer within 0.3 s"):
        play(Faults(delay=1.0), deadline=0.3)


def test_a_device_that_loses_all_output_is_an_error():
    with pytest.raises(BoardError, match="did not answer within"):
        play(Faults(drop=1.0), deadline=1.0)


def test_lost_output_is_counted_in_the_recording(expected):
    found = play(Faults(drop=0.2, seed=4), verify_neurons=None)
    assert found.lost_events > 0
    assert found.counts(0).sum() < expected.counts(0).sum()


def test_doubled_output_is_counted_in_the_recording(expected):
    found = play(Faults(duplicate=0.3, seed=4), verify_neurons=None)
    assert int(found.provenance.settings["repeated_answers"]) > 0
    assert found.counts(0).sum() > expected.counts(0).sum()


def test_a_refused_configuration_is_reported_and_can_be_loaded_again(expected):
    with open_virtual("speck2e", faults=Faults(refuse_configuration=1)) as board:
        with pytest.raises(BoardError, match="refused the configuration"):
            board.load(PROGRAM)
        with pytest.raises(BoardError, match="no program"):
            board.play(EVENTS)
        board.load(PROGRAM)
        np.testing.assert_array_equal(board.play(EVENTS).counts(), expected.counts())


@pytest.mark.parametrize("core", [0, 1, 2])
def test_a_stuck_core_is_found_at_the_upload(core):
    with pytest.raises(BoardError, match=rf"core {core} \(layer .*does not spike"):
        play(Faults(stuck_core=core))


def test_a_stuck_core_that_the_program_does_not_use_has_no_effect(expected):
    found = play(Faults(stuck_core=8))
    np.testing.assert_array_equal(found.counts(), expected.counts())


def test_samnas_message_about_a_configuration_is_part_of_the_error():
    program = single_core(size=70)
    with open_virtual("speck2e") as board, pytest.raises(BoardError, match="larger than 64 a side"):
        board.load(program)


def test_a_neuron_without_its_initial_state_is_reported():
    settings = ChipSettings(deadline=0.2)
    states = np.full(PROGRAM.cores[0].output_shape, 3)
    other = replace(
        PROGRAM, cores=(replace(PROGRAM.cores[0], initial_state=states), *PROGRAM.cores[1:])
    )
    with open_virtual("speck2e") as board:
        board.load(PROGRAM)
        with pytest.raises(BoardError, match=r"did not take their initial state, .* in place of 3"):
            check_states(board._link, placed_layers(other, settings), settings)


def test_reading_ends_at_the_deadline_if_it_is_before_the_silence():
    with open_virtual("speck2e", speed=1.0, silence=5_000.0, deadline=0.3) as board:
        board.load(PROGRAM)
        assert board.play(EVENTS).samples[0].stopped == "deadline"
