"""An upload is verified, replaces the one before, and is refused if it exceeds the chip."""

from dataclasses import replace

import numpy as np
import pytest

from speckflex.errors import BoardError


def test_a_second_program_replaces_the_first(play, neuron, pulses):
    assert play(neuron(weight=127), pulses([100])).counts().sum() == 1
    assert play(neuron(weight=10), pulses([100])).counts().sum() == 0
    assert play(neuron(weight=127), pulses([100])).counts().sum() == 1


def test_initial_states_are_on_the_board_after_an_upload(board, chain, rng):
    program = chain({})
    states = rng.integers(-100, 100, program.cores[0].output_shape)
    program = replace(program, cores=(replace(program.cores[0], initial_state=states),))
    board.load(program)
    np.testing.assert_array_equal(board.read_neurons(0), states)


def test_playing_without_a_program_is_an_error(board, pulses):
    with pytest.raises(BoardError, match="no program"):
        board.play(pulses([100]))


@pytest.mark.needs_devkit("the twin runs programs of any size")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chip_core": None}, "is on no core"),
        ({"weights": np.ones((1, 1, 2, 3))}, "is not square"),
        ({"weights": np.ones((1, 1, 3, 3)), "stride": (3, 3)}, "not valid"),
        ({"weights": np.ones((1, 1, 3, 3)), "padding": (8, 8)}, "not valid"),
    ],
    ids=["no core", "oblong kernel", "stride 3", "padding 8"],
)
def test_a_program_that_the_chip_cannot_run_is_refused_with_the_reason(
    board, neuron, pulses, changes, message
):
    program = neuron()
    core = replace(program.cores[0], input_shape=(1, 9, 9), **changes)
    stage = replace(program.input, shape=(1, 9, 9))
    with pytest.raises(BoardError, match=message):
        board.load(replace(program, cores=(core,), input=stage))
    # the board still works
    board.load(program)
    assert board.play(pulses([100])).counts().sum() == 1


@pytest.mark.needs_devkit("the twin runs programs of any size")
def test_a_layer_larger_than_its_core_is_refused(board, chain):
    program = chain({"out": 64, "padding": (1, 1)}, shape=(64, 32, 32))
    with pytest.raises(BoardError, match="not valid"):
        board.load(program)
