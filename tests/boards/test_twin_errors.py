"""Edge cases of the twin: nothing to play, wrong calls, interrupts."""

import _thread
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from speckflex.boards import open_board
from speckflex.boards.twin import Twin
from speckflex.errors import BoardError, EventsError
from speckflex.events.streams import EVENT_DTYPE, make_events
from speckflex.program.event_filter import EventFilter
from speckflex.program.program import Program
from speckflex.program.records import Core, InputStage
from speckflex.twin.settings import TwinSettings

EMPTY = np.empty(0, EVENT_DTYPE)


def small_program(**changes):
    core = Core("conv", np.full((2, 1, 3, 3), 10), 30, -30, (1, 8, 8), padding=(1, 1), **changes)
    return Program((core,), InputStage((1, 8, 8)))


def events_at(n_events, x=3, y=4):
    return make_events(np.arange(n_events), np.full(n_events, x), np.full(n_events, y), 0)


@pytest.fixture
def twin():
    with open_board("twin") as board:
        board.load(small_program())
        yield board


def test_no_samples_give_an_empty_recording(twin):
    recording = twin.play([])
    assert recording.n_samples == 0
    assert recording.counts(0).shape == (0, 2, 8, 8)


def test_an_empty_stream_gives_zero_spikes(twin):
    recording = twin.play(EMPTY)
    assert recording.counts(0).sum() == 0
    assert recording.events(0).dtype == EVENT_DTYPE
    assert len(recording.events(0)) == 0


def test_one_array_is_one_sample(twin):
    assert np.array_equal(twin.play(events_at(9)).counts(0), twin.play([events_at(9)]).counts(0))


def test_spikes_are_kept_only_on_request(twin):
    with pytest.raises(BoardError, match="only counts"):
        twin.play(events_at(9), keep_events=False).events(0)


def test_the_log_counts_input_events_and_spikes(twin):
    (log,) = twin.play(events_at(9)).samples
    assert (log.written, log.accepted, log.lost, log.stopped) == (9, 9, 0, "complete")
    assert log.read == 3 * 9 * 2  # at every third event 9 neurons in 2 channels fire


def test_provenance_names_program_versions_and_settings(twin):
    provenance = twin.play(EMPTY).provenance
    assert provenance.program_sha256 == small_program().sha256
    assert set(provenance.versions) >= {"speckflex", "numpy", "numba"}
    assert provenance.settings["output_order"] == "-y-x+c"


def test_a_potential_layer_reports_its_potentials():
    core = Core(
        "last", np.array([[[[5]]], [[[-7]]]]), 32767, -32768, (1, 1, 1), readout="potential"
    )
    with Twin() as twin:
        twin.load(Program((core,), InputStage((1, 1, 1))))
        record = twin.play([events_at(3, 0, 0), events_at(1, 0, 0)]).layer(-1)
    assert record.potentials.tolist() == [[[[15]], [[-21]]], [[[5]], [[-7]]]]
    assert record.counts.sum() == 0


def test_neurons_are_written_and_read(twin):
    values = np.arange(128).reshape(2, 8, 8)
    twin.write_neurons(values, 0)
    assert np.array_equal(twin.read_neurons(0), values)
    twin.play(EMPTY, reset=False)
    assert np.array_equal(twin.read_neurons(0), values)
    twin.reset()
    assert not twin.read_neurons(0).any()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((2, 8, 7), int), "shape"),
        (np.zeros((2, 8, 8)), "float64"),
        (np.full((2, 8, 8), 40000), "40000"),
    ],
)
def test_wrong_potentials_are_refused(twin, values, message):
    with pytest.raises(BoardError, match=message):
        twin.write_neurons(values, 0)


@pytest.mark.parametrize("wrong", ["net.speck", None, 3])
@pytest.mark.parametrize("name", ["twin", "virtual:speck2e"])
def test_an_object_that_is_no_program_is_refused(name, wrong):
    message = f"given a {type(wrong).__name__} to load, which is no Program: read a .speck file"
    with open_board(name) as board, pytest.raises(BoardError, match=message):
        board.load(wrong)


def test_a_closed_twin_plays_nothing():
    twin = Twin()
    twin.load(small_program())
    twin.close()
    with pytest.raises(BoardError, match="closed"):
        twin.play(EMPTY)
    with pytest.raises(BoardError, match="closed"):
        twin.load(small_program())


def test_a_twin_without_a_program_refuses_to_play():
    with pytest.raises(BoardError, match=r"call load\(program\)"):
        Twin().play(EMPTY)


def test_an_event_outside_the_input_is_named(twin):
    outside = events_at(3)
    outside["x"][2] = 8
    with pytest.raises(EventsError, match=r"sample 1: event 2 has x = 8"):
        twin.play([EMPTY, outside])


@pytest.mark.parametrize("events", [None, 3, "abc", [3], [[1, 2]]])
def test_an_object_that_is_no_stream_is_refused(twin, events):
    with pytest.raises(EventsError, match="event"):
        twin.play(events)


@pytest.mark.parametrize("layer", [1, -2])
def test_a_layer_that_does_not_exist_is_named(twin, layer):
    with pytest.raises(BoardError, match=f"layer {layer} is not in the program of 1 layers"):
        twin.play(EMPTY, monitor=[layer])


@pytest.mark.parametrize("monitor", [0, "all", [0.5], ["conv"], [None]])
def test_an_object_that_is_no_list_of_layers_is_refused(twin, monitor):
    with pytest.raises(BoardError, match="layer"):
        twin.play(EMPTY, monitor=monitor)


@pytest.mark.parametrize(
    "settings",
    [
        {"slow_clock_period": 1.5},
        {"slow_clock_period": 0},
        {"slow_clock_divider": 13},
        {"slow_clock_period": 5, "slow_clock_divider": 14},
        {"balancer_buffer": -1},
        {"input_buffer": -1},
        {"input_buffer": 1.5},
        {"synops_per_second": 1e6, "parallel_window": 2},
        {"parallel_window": 0},
        {"seed": -1},
    ],
)
def test_impossible_settings_are_refused(settings):
    with pytest.raises(BoardError):
        TwinSettings(**settings)


def test_a_filter_without_a_slow_clock_is_refused(twin):
    program = small_program()
    filtering = replace(program.input, event_filter=EventFilter())
    with pytest.raises(BoardError, match=r"event filter counts ticks .*: .*set slow_clock_period"):
        twin.load(replace(program, input=filtering))


@pytest.mark.parametrize("threads", [0, -1, 1.5])
def test_a_wrong_number_of_threads_is_refused(threads):
    with pytest.raises(BoardError, match="threads"):
        Twin(threads=threads)


def test_an_unknown_setting_is_refused():
    with pytest.raises(BoardError, match="choose one of saturate, wrap"):
        TwinSettings(overflow="explode")


@pytest.mark.parametrize("threads", [1, 2])
def test_an_interrupt_ends_the_play_promptly(threads):
    with Twin(threads=threads) as twin:
        twin.load(small_program())
        twin.play(events_at(9))
        stream = events_at(10_000_000)
        timer = threading.Timer(0.2, _thread.interrupt_main)
        timer.start()
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            twin.play([stream] * 20, keep_events=False)
        assert time.monotonic() - started < 5
        assert twin.play(events_at(9)).counts(0).sum() == 54
    timer.join()


@pytest.mark.parametrize("rate", [0, -1, 1e7, float("nan"), float("inf"), "3"])
def test_a_slow_clock_that_cannot_tick_is_refused(rate):
    with pytest.raises(BoardError, match=r"the slow clock's rate is .* Hz: give more than 0"):
        TwinSettings.ticking(rate)


@pytest.mark.parametrize(("rate", "period"), [(None, None), (1000, 1000), (0.5, 2_000_000)])
def test_a_slow_clock_ticks_at_its_rate(rate, period):
    assert TwinSettings.ticking(rate) == TwinSettings(slow_clock_period=period)
