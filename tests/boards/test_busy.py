"""A board that plays for one thread refuses another one."""

import threading

import numpy as np
import pytest
from made_up import random_stream, two_core_program

from speckflex.boards import open_board
from speckflex.errors import BoardError

SHAPE = (1, 6, 6)


@pytest.fixture
def busy_twin(rng: np.random.Generator):
    """Yield a twin that plays in another thread, and its counts once it may go on."""
    started, may_end = threading.Event(), threading.Event()
    found = []

    def blocks():
        started.set()
        may_end.wait(30)
        yield random_stream(rng, SHAPE, 500)

    def finish():
        may_end.set()
        thread.join()
        return found[0].counts(0)

    with open_board("twin") as twin:
        twin.load(two_core_program())
        thread = threading.Thread(target=lambda: found.append(twin.play_stream(blocks())))
        thread.start()
        assert started.wait(30)
        yield twin, finish
        may_end.set()
        thread.join()


def test_a_second_play_on_a_busy_board_is_refused_and_changes_nothing(busy_twin, rng):
    twin, finish = busy_twin
    calls = (
        lambda: twin.play(random_stream(rng, SHAPE, 9)),
        lambda: twin.load(two_core_program()),
        lambda: twin.write_neurons(np.zeros((2, 6, 6), np.int16), 0),
    )
    for call in calls:
        with pytest.raises(BoardError, match="board twin is busy in another thread: wait until"):
            call()
    assert finish().sum() > 0


def test_a_board_is_free_again_after_an_error(rng):
    with open_board("twin") as twin:
        twin.load(two_core_program())
        with pytest.raises(BoardError):
            twin.play(random_stream(rng, SHAPE, 9), monitor=[7])
        done = []
        thread = threading.Thread(target=lambda: done.append(twin.play([])))
        thread.start()
        thread.join()
    assert len(done) == 1
