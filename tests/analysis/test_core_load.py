"""Waiting times and the congestion balancer, against a queue simulated by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speckflex.analysis.core_load import measure_load
from speckflex.boards.twin import Twin
from speckflex.chips.speck import SPECK2E
from speckflex.errors import BoardError
from speckflex.events.streams import make_events
from speckflex.program.program import Program
from speckflex.program.records import Core, Destination, InputStage
from speckflex.twin.settings import EngineTimes, TwinSettings


def one_pixel_program(**changes):
    """A core with 10 neurons, all of which every event updates and makes fire."""
    core = Core("layer", np.full((10, 1, 1, 1), 50), 50, -50, (1, 1, 1), **changes)
    return Program((core,), InputStage((1, 1, 1)), chip="unbounded")


def events_at(times):
    zeros = np.zeros(len(times), np.int64)
    return make_events(np.array(times, np.int64), zeros, zeros, zeros)


def simulate(times, duration, buffer):
    """Return how many events are dropped and the longest wait, keeping the whole queue."""
    finishes, dropped, longest = [], 0, 0.0
    for time in times:
        unfinished = [finish for finish in finishes if finish > time]
        if len(unfinished) > buffer:
            dropped += 1
            continue
        begin = max(time, max(finishes, default=0.0))
        longest = max(longest, begin - time)
        finishes.append(begin + duration)
    return dropped, longest


@settings(max_examples=80)
@given(
    gaps=st.lists(st.integers(0, 20), max_size=60),
    buffer=st.integers(0, 5),
    work=st.sampled_from([1, 5, 12]),
)
def test_the_balancer_drops_what_a_full_queue_turns_away(gaps, buffer, work):
    times = np.cumsum(np.array(gaps, np.int64))
    chosen = TwinSettings(synops_per_second=10 / work * 1e6, balancer_buffer=buffer)
    with Twin(settings=chosen) as twin:
        twin.load(one_pixel_program(congestion_balancer=True))
        recording = twin.play(events_at(times))
    dropped, longest = simulate(times.tolist(), work, buffer)
    assert recording.counts(0).sum() == 10 * (len(times) - dropped)
    assert recording.samples[0].lost == dropped
    assert twin.loads[0][0].dropped == dropped
    assert twin.loads[0][0].longest_wait == pytest.approx(longest)


def test_without_balancer_nothing_is_dropped_and_events_wait():
    (load,) = measure_load(one_pixel_program(), events_at([0] * 100), synops_per_second=1e6)
    # 100 events of 10 operations each, one operation a microsecond: the last waits for 99
    assert load.dropped == 0
    assert load.longest_wait == pytest.approx(990)
    assert load.backlog == pytest.approx(1000)
    assert load.utilisation == pytest.approx(1)
    # 1000 operations in the shortest window of 10 ms
    assert (load.demand, load.served, load.factor) == pytest.approx((1e5, 1e5, 0.1))
    assert load.passed


def test_a_core_that_falls_behind_does_not_pass():
    times = np.arange(4000)
    (load,) = measure_load(one_pixel_program(), events_at(times), synops_per_second=1e6)
    assert load.longest_wait == pytest.approx(10 * 3999 - 3999)
    # 4000 events of 10 operations are asked for in 10 ms, and done after 40 ms
    assert (load.demand, load.served, load.factor) == pytest.approx((4e6, 1e6, 4))
    assert not load.passed


def test_what_a_balancer_drops_was_demanded_too():
    program = one_pixel_program(congestion_balancer=True)
    (load,) = measure_load(program, events_at(range(4000)), synops_per_second=1e6)
    assert load.dropped > 0
    assert load.demand == pytest.approx(4e6)
    assert load.served < 1.1e6


def test_a_core_that_stalls_for_long_does_not_keep_up():
    first = Core("first", np.full((1, 1, 1, 1), 50), 50, -50, (1, 1, 1))
    second = replace(first, name="second", destinations=(Destination(2),))
    slow = Core("slow", np.ones((50, 1, 1, 1)), 99, -1, (1, 1, 1))
    program = Program(
        (replace(first, destinations=(Destination(1),)), second, slow),
        InputStage((1, 1, 1)),
        chip="unbounded",
    )
    loads = measure_load(program, events_at(range(1000)), synops_per_second=1e6)
    assert [load.verdict for load in loads] == ["holds the input up", "held up", "overloaded"]
    assert loads[1].stalled > 10_000


def test_the_wait_adds_up_along_the_network():
    first = one_pixel_program().cores[0]
    second = Core("second", np.ones((1, 10, 1, 1)), 1, -1, (10, 1, 1))
    program = Program(
        (replace(first, destinations=(Destination(1),)), second),
        InputStage((1, 1, 1)),
        chip="unbounded",
    )
    loads = measure_load(program, events_at([0, 100]), synops_per_second=1e6)
    # all ten spikes set out when their event is done; each takes the second core 1 µs
    assert [load.events for load in loads] == [2, 20]
    assert loads[1].longest_wait == pytest.approx(9)


def test_the_slow_core_is_blamed_and_not_those_it_holds_up():
    first = Core("first", np.full((1, 1, 1, 1), 50), 50, -50, (1, 1, 1))
    slow = Core("slow", np.ones((50, 1, 1, 1)), 99, -1, (1, 1, 1))
    program = Program(
        (replace(first, destinations=(Destination(1),)), slow),
        InputStage((1, 1, 1)),
        chip="unbounded",
    )
    events = events_at(range(1000))
    loads = measure_load(program, events, synops_per_second=1e6)
    assert [load.verdict for load in loads] == ["holds the input up", "overloaded"]
    assert loads[0].longest_wait == 0
    assert loads[1].longest_wait == pytest.approx(999 * 50 - 999)
    # the slow core is done with event k at 1 + 50 (k + 1); event 17 later enters it then, and that
    # lets in event 17 later at the first core
    assert loads[0].input_wait == pytest.approx(1 + 50 * (999 - 17 - 17 + 1) - 999)
    # event 17, done at 18, waits until 51; each one after it is done 1 µs after the one before it
    # left, and leaves 50 µs after it
    assert loads[0].stalled == pytest.approx((51 - 18) + (999 - 17) * (50 - 1))
    roomy = TwinSettings(input_buffer=None)
    easy = measure_load(program, events, synops_per_second=1e6, settings=roomy)
    assert [load.verdict for load in easy] == ["keeps up", "overloaded"]
    assert [(load.stalled, load.input_wait) for load in easy] == [(0, 0), (0, 0)]


def test_a_balancer_that_drops_for_a_core_further_on_is_not_called_overloaded():
    first = Core("first", np.full((1, 1, 1, 1), 50), 50, -50, (1, 1, 1), congestion_balancer=True)
    slow = Core("slow", np.ones((50, 1, 1, 1)), 99, -1, (1, 1, 1))
    program = Program(
        (replace(first, destinations=(Destination(1),)), slow),
        InputStage((1, 1, 1)),
        chip="unbounded",
    )
    loads = measure_load(program, events_at(range(1000)), synops_per_second=1e6)
    assert [load.verdict for load in loads] == ["drops while held up", "overloaded"]
    assert [load.passed for load in loads] == [False, False]
    assert loads[0].events - loads[0].dropped == loads[1].events < 100
    alone = replace(slow, congestion_balancer=True)
    (load,) = measure_load(
        replace(program, cores=(alone,)), events_at(range(1000)), synops_per_second=1e6
    )
    assert load.verdict == "overloaded"


def test_a_core_beside_the_slow_one_is_not_blamed_for_the_input_that_waits():
    slow, quick = (
        Core(name, np.ones((n_neurons, 1, 1, 1)), 99, -1, (1, 1, 1))
        for name, n_neurons in (("slow", 50), ("quick", 1))
    )
    both = InputStage((1, 1, 1), destinations=(Destination(0), Destination(1)))
    program = Program((slow, quick), both, chip="unbounded")
    loads = measure_load(program, events_at(range(1000)), synops_per_second=1e6)
    assert [load.verdict for load in loads] == ["overloaded", "keeps up"]
    # event n enters the slow core when event n - 17 is gone
    assert loads[0].input_wait == pytest.approx(50 * (999 - 17 + 1) - 999)
    assert loads[1].input_wait == 0


def test_a_rate_does_not_change_spikes_without_balancer(rng):
    times = np.sort(rng.integers(0, 100, 500))
    with (
        Twin(settings=TwinSettings(synops_per_second=SPECK2E.synops_per_second)) as timed,
        Twin() as plain,
    ):
        timed.load(one_pixel_program())
        plain.load(one_pixel_program())
        events = events_at(times)
        assert np.array_equal(timed.play(events).events(0), plain.play(events).events(0))
        assert plain.loads == ((),)


def test_no_event_is_no_load():
    (load,) = measure_load(one_pixel_program(), events_at([]))
    assert (load.events, load.utilisation, load.passed) == (0, 0.0, True)
    assert measure_load(one_pixel_program(), [])[0].events == 0


@pytest.mark.parametrize("rate", [0, -1.0, float("nan"), float("inf")])
def test_a_rate_must_be_positive(rate):
    with pytest.raises(BoardError, match="synops_per_second"):
        measure_load(one_pixel_program(), events_at([1]), synops_per_second=rate)


@pytest.mark.parametrize(
    "beyond", [{"withheld_spike": "last"}, {"parallel_window": 3}, {"engine_times": EngineTimes()}]
)
def test_what_has_no_place_in_the_model_of_time_is_left_out(beyond):
    program, events = one_pixel_program(chip_core=0), events_at(range(0, 120, 3))
    expected = measure_load(program, events)
    assert measure_load(program, events, settings=TwinSettings(**beyond)) == expected
