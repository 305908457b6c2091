"""The slow clock by itself: when it ticks, and what many ticks at once do."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from speckflex.boards.twin import Twin
from speckflex.events.streams import make_events
from speckflex.program.program import Program
from speckflex.program.records import Core, InputStage
from speckflex.twin._slow_clock import leak_into, ticks_before
from speckflex.twin.settings import TwinSettings


@settings(max_examples=200)
@given(
    start=st.integers(-32768, 32767),
    bias=st.integers(-300, 300),
    low=st.integers(-1000, 0),
    n_ticks=st.integers(0, 300),
)
def test_many_ticks_at_once_equal_one_after_the_other(start, bias, low, n_ticks):
    state = np.full((1, 1, 1), start, np.int16)
    leak_into(state, np.array([bias], np.int16), low, n_ticks)
    v = start
    for _ in range(n_ticks):
        v = min(max(v + bias, low), 32767)
    assert state.item() == v


def test_the_internal_clock_counts_input_events():
    ticks = ticks_before(TwinSettings(slow_clock_divider=14), np.zeros(40_000, np.int64), 0)
    assert [int((ticks == tick).sum()) for tick in range(3)] == [16384, 16384, 40_000 - 2 * 16384]
    later = ticks_before(TwinSettings(slow_clock_divider=14), np.zeros(2, np.int64), 16383)
    assert later.tolist() == [0, 1]


def test_the_recorded_leak_of_a_real_chip_is_repeated():
    # sinabs' notebook on leaking neurons: bias -13, bound -127, start 127, two readings a tick;
    # the phase of the clock is not defined, the first reading was two ticks down
    core = Core(
        "leak",
        np.full((1, 1, 1, 1), 127),
        127,
        -127,
        (1, 2, 2),
        bias=np.array([-13]),
        initial_state=np.full((1, 2, 2), 127),
    )
    readings = []
    with Twin(settings=TwinSettings(slow_clock_period=1_000_000)) as twin:
        # the input stage lets no event through: time passes, nothing else happens
        stage = InputStage((1, 2, 2), keep_off=False)
        twin.load(Program((core,), stage))
        for seconds in range(2, 12):
            twin.reset()
            twin.play(
                make_events(*(np.array([v]) for v in (seconds * 10**6, 0, 0, 0))), reset=False
            )
            readings.append(int(twin.read_neurons(0)[0, 0, 0]))
    assert readings == [101, 88, 75, 62, 49, 36, 23, 10, -3, -16]
