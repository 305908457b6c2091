"""Programs and streams for tests that run on a chip, on a virtual devkit and on the twin.

`pytest hw_tests` runs them on the virtual devkit, `pytest hw_tests --board speck2e:0` on a chip.
Layers are placed on core 2 and above, because cores 0 and 1 compute in parallel and do not repeat
themselves exactly.
"""

from __future__ import annotations

import numpy as np
import pytest

from speckflex.boards import open_board
from speckflex.boards.family import BoardName
from speckflex.boards.twin import Twin
from speckflex.events.streams import make_events
from speckflex.program.program import Program
from speckflex.program.records import Core, Destination, InputStage
from speckflex.twin.settings import TwinSettings

DEFAULT_BOARD = "virtual:speck2e"
FIRST_CORE = 2


def pytest_configure(config):
    if config.getoption("speckflex_board") is None:
        config.option.speckflex_board = DEFAULT_BOARD


@pytest.fixture
def rng():
    """A seeded generator."""
    return np.random.default_rng(7)


@pytest.fixture
def family(request):
    """The name of the board's family: twin, virtual, speck2e or speck2f."""
    return BoardName.parse(request.config.getoption("speckflex_board")).family


@pytest.fixture
def reopened(request, board):
    """A function that closes the board and opens it again with other settings."""
    opened = []

    def reopen(**settings):
        board.close()
        opened.append(open_board(request.config.getoption("speckflex_board"), **settings))
        return opened[-1]

    yield reopen
    for other in opened:
        other.close()


@pytest.fixture
def with_slow_clock(reopened, family):
    """A function that opens the board again, with a slow clock of a period in µs."""

    def reopen(period):
        if family == "twin":
            return reopened(settings=TwinSettings(slow_clock_period=period))
        return reopened(slow_clock=1e6 / period)

    return reopen


@pytest.fixture
def neuron():
    """A function that returns a program of one neuron with one weight."""

    def make(weight=127, threshold=127, **changes):
        core = Core(
            name="neuron",
            weights=np.full((1, 1, 1, 1), weight),
            threshold_high=threshold,
            **({"threshold_low": -127} | changes),
            input_shape=(1, 1, 1),
            chip_core=FIRST_CORE,
        )
        return Program((core,), InputStage((1, 1, 1)))

    return make


@pytest.fixture
def pulses():
    """A function that returns events on pixel 0, at times in µs."""

    def make(times):
        zeros = np.zeros(len(times), np.int64)
        return make_events(np.asarray(times, np.int64), zeros, zeros, zeros)

    return make


@pytest.fixture
def stream(rng):
    """A function that returns random events in a shape, 20 µs apart."""

    def make(shape, n=800):
        times = np.arange(1, n + 1) * 20
        return make_events(times, *(rng.integers(0, side, n) for side in shape[::-1]))

    return make


@pytest.fixture
def chain(rng):
    """A function that returns a program of convolutions in a row, with random weights."""

    def make(*layers, shape=(2, 12, 12), stage=None):
        """Return the program; a layer is a dict of out, kernel, pooling and fields of `Core`."""
        stage = stage or InputStage(shape)
        given, cores = stage.output_shape, []
        for index, settings in enumerate(layers):
            layer = dict(settings)
            pooling = layer.pop("pooling", 1)
            size = (layer.pop("out", 4), given[0], *(layer.pop("kernel", 3),) * 2)
            follows = index + 1 < len(layers)
            values = {
                "name": f"layer{index}",
                "weights": rng.integers(-70, 80, size),
                "threshold_high": 150,
                "threshold_low": -150,
                "input_shape": given,
                "chip_core": FIRST_CORE + index,
                "destinations": (Destination(index + 1, pooling),) if follows else (),
            }
            cores.append(Core(**(values | layer)))
            channels, height, width = cores[-1].output_shape
            given = (channels, height // pooling, width // pooling)
        return Program(tuple(cores), stage)

    return make


@pytest.fixture
def on_twin():
    """A function that plays a program on the twin."""

    def run(program, events, **options):
        with Twin(threads=1) as twin:
            twin.load(program)
            return twin.play(events, **options)

    return run
