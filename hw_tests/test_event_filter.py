"""The event filter behind the input stage, with streams whose outcome no tick's phase changes."""

import numpy as np
import pytest

from speckflex.events.streams import make_events
from speckflex.program.event_filter import EventFilter
from speckflex.program.program import Program
from speckflex.program.records import Core, InputStage

PERIOD = 1000  # µs
WINDOW = 2  # ticks
BURSTS, LENGTH = 5, 10  # events that are a tick apart at most, and bursts far more than a window


@pytest.fixture
def ticking(reopened, family):
    """The board with a slow clock of 1 kHz."""
    if family == "twin":
        from speckflex.twin.settings import TwinSettings

        return reopened(settings=TwinSettings(slow_clock_period=PERIOD))
    return reopened(slow_clock=1e6 / PERIOD)


def relay(rule):
    """Return a program whose every neuron repeats the events of its pixel that pass."""
    core = Core("relay", np.full((1, 2, 1, 1), 127), 127, -127, (2, 12, 12), chip_core=2)
    return Program((core,), InputStage((2, 12, 12), event_filter=rule))


def bursts(columns):
    """Return bursts of events on these columns of one row in turn, 20 ms from burst to burst."""
    burst, place = np.divmod(np.arange(BURSTS * LENGTH), LENGTH)
    times = PERIOD + burst * 20 * PERIOD + place * 10
    return make_events(times, np.resize(columns, len(times)), 5, burst % 2)


CASES = {
    "noise: a pixel is company to itself": ("noise", [4], BURSTS * (LENGTH - 1)),
    "noise: neighbours are company": ("noise", [4, 5], BURSTS * (LENGTH - 1)),
    "hot pixel: a pixel is none": ("noise and hot pixels", [4], 0),
    "hot pixel: neighbours are": ("noise and hot pixels", [4, 5], BURSTS * (LENGTH - 1)),
    "low pass: one event a pixel": ("low pass", [4, 9], BURSTS * 2),
}


@pytest.mark.parametrize(("mode", "columns", "expected"), CASES.values(), ids=CASES)
def test_what_passes_the_filter_is_what_the_data_sheet_says(
    ticking, board_metrics, mode, columns, expected
):
    ticking.load(relay(EventFilter(mode, (1, 1), WINDOW)))
    recording = ticking.play(bursts(columns))
    board_metrics.record(spikes=int(recording.counts().sum()), expected=expected)
    assert recording.counts().sum() == expected


def test_events_alone_in_space_and_time_are_noise(ticking):
    ticking.load(relay(EventFilter("noise", (1, 1), WINDOW)))
    times = PERIOD + np.arange(20) * 20 * PERIOD
    lonely = make_events(times, np.arange(20) * 3 % 12, np.arange(20) * 5 % 12, 0)
    assert ticking.play(lonely).counts().sum() == 0
