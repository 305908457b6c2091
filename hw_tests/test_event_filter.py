"""The event filter behind the input stage, on streams for which the clock's phase is irrelevant."""

import numpy as np
import pytest

from speckflex.errors import BoardError
from speckflex.events.streams import make_events
from speckflex.program.event_filter import EventFilter
from speckflex.program.program import Program
from speckflex.program.records import Core, InputStage

PERIOD = 2000  # µs; the filter asks for a clock below 1 kHz
WINDOW = 2  # ticks
# Events of a burst are at most a tick apart; bursts are much more than a window apart.
BURSTS, LENGTH = 5, 10


@pytest.fixture
def ticking(with_slow_clock):
    """The board with a slow clock of 500 Hz."""
    return with_slow_clock(PERIOD)


@pytest.fixture
def has_low_pass(request):
    """Whether the board's filter has the low-pass mode: a Speck2e's has not."""
    return "speck2e" not in request.config.getoption("speckflex_board").lower()


def relay(rule):
    """Return a program in which a neuron fires for each event of its pixel that passes."""
    core = Core("relay", np.full((1, 2, 1, 1), 127), 127, -127, (2, 12, 12), chip_core=2)
    return Program((core,), InputStage((2, 12, 12), event_filter=rule))


def bursts(columns):
    """Return bursts of events, 20 ms apart, on the columns of one row in turn."""
    burst, place = np.divmod(np.arange(BURSTS * LENGTH), LENGTH)
    times = PERIOD + burst * 20 * PERIOD + place * 10
    return make_events(times, np.resize(columns, len(times)), 5, burst % 2)


# which earlier event lets the next one pass
CASES = {
    "noise: the pixel alone is enough": ("noise", [4], BURSTS * (LENGTH - 1)),
    "noise: a neighbour is enough": ("noise", [4, 5], BURSTS * (LENGTH - 1)),
    "hot pixel: the pixel alone is not enough": ("noise and hot pixels", [4], 0),
    "hot pixel: a neighbour is enough": (
        "noise and hot pixels",
        [4, 5],
        BURSTS * (LENGTH - 1),
    ),
    "low pass: one event per pixel and burst passes": ("low pass", [4, 9], BURSTS * 2),
}


@pytest.mark.parametrize(("mode", "columns", "expected"), CASES.values(), ids=CASES)
def test_the_filter_passes_the_events_that_the_data_sheet_names(
    ticking, board_metrics, has_low_pass, mode, columns, expected
):
    program = relay(EventFilter(mode, (1, 1), WINDOW))
    if mode == "low pass" and not has_low_pass:
        with pytest.raises(BoardError, match="'low pass', which this chip has not"):
            ticking.load(program)
        return
    ticking.load(program)
    recording = ticking.play(bursts(columns))
    board_metrics.record(spikes=int(recording.counts().sum()), expected=expected)
    assert recording.counts().sum() == expected


def test_isolated_events_do_not_pass_the_noise_filter(ticking):
    ticking.load(relay(EventFilter("noise", (1, 1), WINDOW)))
    times = PERIOD + np.arange(20) * 20 * PERIOD
    isolated = make_events(times, np.arange(20) * 3 % 12, np.arange(20) * 5 % 12, 0)
    assert ticking.play(isolated).counts().sum() == 0
