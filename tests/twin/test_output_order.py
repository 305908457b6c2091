"""The order in which neurons that fire on one event send their spikes: 48 of them."""

from dataclasses import replace

import numpy as np
import pytest

import speckflex as sf
from speckflex.errors import BoardError
from speckflex.events import make_events
from speckflex.program.program import Program
from speckflex.program.records import Core, InputStage
from speckflex.twin.output_order import ORDERS
from speckflex.twin.settings import TwinSettings

SHAPE = (2, 9, 8)
N_OUT = 12


@pytest.fixture(scope="module")
def program():
    """A layer in which each neuron fires on each event that it gets: a field of 3 x 2."""
    weights = np.ones((N_OUT, 2, 5, 4), np.int8)
    core = Core("all fire", weights, 1, -1, SHAPE, stride=(2, 2), padding=(2, 1))
    return Program((core,), InputStage(SHAPE), chip="unbounded")


def spikes_on(program, events, **settings):
    """Return (channel, y, x) of the spikes in the order in which they left, event after event."""
    with sf.open_board("twin", threads=1, settings=TwinSettings(**settings)) as board:
        board.load(program)
        spikes = board.play(events).events(0)
    return [(int(s["p"]), int(s["y"]), int(s["x"])) for s in spikes]


def field_of(core, y, x):
    """Return (tap y, tap x, row, column) of each neuron that an event meets, tap by tap."""
    height, width = core.output_shape[1:]
    for tap_y in range(core.weights.shape[2]):
        for tap_x in range(core.weights.shape[3]):
            row, y_left = divmod(y + core.padding[0] - tap_y, core.stride[0])
            column, x_left = divmod(x + core.padding[1] - tap_x, core.stride[1])
            if not y_left and not x_left and 0 <= row < height and 0 <= column < width:
                yield tap_y, tap_x, row, column


@pytest.mark.parametrize("order", ORDERS)
def test_spikes_leave_in_the_loops_that_the_order_names(program, order):
    events = make_events([10, 20], [4, 7], [5, 0], [1, 0])
    expected = []
    for x, y in ((4, 5), (7, 0)):
        met = list(field_of(program.cores[0], y, x))
        fired = [(c, row, column) for _, _, row, column in met for c in range(N_OUT)]
        # the inner loop first: each sort keeps what the ones before did
        for sign, axis in ((order[4], order[5]), (order[2], order[3]), (order[0], order[1])):
            position = "cyx".index(axis)
            fired.sort(key=lambda place, at=position: place[at], reverse=sign == "-")
        expected += fired
    assert len(expected) > 2 * N_OUT
    assert spikes_on(program, events, output_order=order) == expected


def test_the_default_walks_kernel_memory_from_its_start(program):
    """The data sheet's address of a weight: tap, output, input, each in as few bits as it needs."""
    core = program.cores[0]
    taps = {}
    for tap_y, tap_x, row, column in field_of(core, 4, 4):
        for c in range(N_OUT):
            tap = tap_y * core.weights.shape[3] + tap_x
            taps[tap << 5 | c << 1 | 0] = (c, row, column)
    spikes = spikes_on(program, make_events([0], [4], [4], [0]))
    assert spikes == [taps[address] for address in sorted(taps)]


@pytest.mark.parametrize(
    "settings", [{"synops_per_second": 1e7}, {"decimator_monitor": "after"}, {"overflow": "wrap"}]
)
@pytest.mark.parametrize("order", ["-y-x+c", "-c+x-y", "+x-c-y"])
def test_the_order_is_the_same_under_every_model(program, order, settings):
    events = make_events([10, 20], [4, 7], [5, 0], [1, 0])
    usual = spikes_on(program, events, output_order=order)
    assert spikes_on(program, events, output_order=order, **settings) == usual


@pytest.mark.parametrize("order", ["-y-x+c", "-c+x-y", "+x-c-y"])
def test_neurons_are_read_and_written_in_their_places(program, order):
    potentials = np.arange(N_OUT * 5 * 4).reshape(N_OUT, 5, 4) - 300
    core = replace(program.cores[0], threshold_high=1000, threshold_low=-1000)
    with sf.open_board("twin", settings=TwinSettings(output_order=order)) as board:
        board.load(replace(program, cores=(core,)))
        board.write_neurons(potentials)
        board.play(make_events([0], [4], [5], [0]), reset=False)
        after = board.read_neurons(0)
    for _, _, row, column in field_of(core, 5, 4):
        potentials[:, row, column] += 1
    assert np.array_equal(after, potentials)


@pytest.mark.parametrize("board", ["twin", "virtual:speck2f"])
def test_a_board_opens_with_an_order(program, board):
    # the chip has square kernels
    square = np.ones((N_OUT, 2, 3, 3), np.int8)
    core = replace(program.cores[0], weights=square, stride=(1, 1), padding=(1, 1), chip_core=3)
    placed = Program((core,), program.input, "speck2f")
    with sf.open_board(board, order="-c+x-y") as opened:
        opened.load(placed)
        spikes = opened.play(make_events([10], [4], [5], [0])).events(0)
    expected = [(c, y, x) for c in range(11, -1, -1) for x in (3, 4, 5) for y in (6, 5, 4)]
    assert [(s["p"], s["y"], s["x"]) for s in spikes] == expected


def test_an_order_is_set_once():
    settings = TwinSettings(output_order="+c+y+x")
    with pytest.raises(BoardError, match="order of output is set twice"):
        sf.open_board("twin", order="+y+x+c", settings=settings)


def test_a_rising_axis_needs_no_sign():
    assert TwinSettings(output_order="yxc") == TwinSettings(output_order="+y+x+c")
    assert TwinSettings(output_order="-yx-c").output_order == "-y+x-c"


@pytest.mark.parametrize("order", ["", "yx", "yyc", "+y+x+c+", "--y+x+c", "cyz", None, 3, ["yxc"]])
def test_other_texts_are_refused_with_one_that_works(order):
    with pytest.raises(BoardError, match=r'output_order is .* such as "-y-x\+c"') as refused:
        TwinSettings(output_order=order)
    assert "\n" not in str(refused.value)
