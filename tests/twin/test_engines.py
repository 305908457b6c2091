"""The two engines of the chip's first cores, against a schedule worked out by hand."""

from dataclasses import replace

import numpy as np
import programs
import pytest

from speckflex.boards.twin import Twin
from speckflex.errors import BoardError
from speckflex.program.program import Program
from speckflex.program.records import Core, InputStage
from speckflex.twin.settings import EngineTimes, TwinSettings


def layer(rng, **changes):
    """A layer on core 0 that fires often."""
    values = {"stride": (2, 2), "padding": (1, 1), "chip_core": 0}
    weights = rng.integers(-70, 90, (6, 2, 5, 5))
    core = Core("first", weights, 80, -80, (2, 12, 12), **(values | changes))
    return Program((core,), InputStage((2, 12, 12)))


def neurons_reached(core, events):
    """Return how many neurons each event updates, by asking every neuron."""
    channels, height, width = core.output_shape
    reached = []
    for _, x, y, _ in events.tolist():
        rows = sum(0 <= y + 1 - 2 * row < 5 for row in range(height))
        columns = sum(0 <= x + 1 - 2 * column < 5 for column in range(width))
        reached.append(channels * rows * columns)
    return reached


def begun_in_turn(events, durations):
    """Return the events in the order in which two engines begin them."""
    engines, begins = [0.0, 0.0], []
    for index, (time, duration) in enumerate(zip(events["t"].tolist(), durations, strict=True)):
        begin = max(float(time), engines[index % 2])
        engines[index % 2] = begin + duration
        begins.append((begin, index % 2, index))
    return [index for _, _, index in sorted(begins)]


def play(program, events, **settings):
    with Twin(settings=TwinSettings(**settings)) as twin:
        twin.load(program)
        return twin.play(events)


def test_events_are_run_in_the_order_engines_begin_them(rng):
    program = layer(rng)
    events = programs.random_events(rng, (2, 12, 12), 20_000)
    events["t"] = np.sort(rng.integers(0, 400_000, len(events)))
    times = EngineTimes(event=3.0, update=0.75, spike=0.0)
    durations = [3 + 0.75 * n for n in neurons_reached(program.cores[0], events)]
    order = begun_in_turn(events, durations)
    assert order != sorted(order)
    expected = play(program, events[order])
    found = play(program, events, engine_times=times)
    assert np.array_equal(found.counts(0), expected.counts(0))
    assert np.array_equal(found.events(0), expected.events(0))


def test_engines_with_time_to_spare_keep_the_order(rng):
    program = layer(rng)
    events = programs.random_events(rng, (2, 12, 12), 500)
    events["t"] = np.arange(500) * 1000
    found = play(program, events, engine_times=EngineTimes())
    assert np.array_equal(found.events(0), play(program, events).events(0))


@pytest.mark.parametrize("chip_core", [None, 2])
def test_other_cores_have_one_engine(rng, chip_core):
    program = layer(rng, chip_core=chip_core)
    events = programs.random_events(rng, (2, 12, 12), 500)
    found = play(program, events, engine_times=EngineTimes())
    assert np.array_equal(found.events(0), play(program, events).events(0))


def test_spikes_cost_time(rng):
    program = layer(rng)
    events = programs.random_events(rng, (2, 12, 12), 3000)
    free = play(program, events, engine_times=EngineTimes(1.0, 0.1, 0.0))
    dear = play(program, events, engine_times=EngineTimes(1.0, 0.1, 5.0))
    assert not np.array_equal(free.events(0), dear.events(0))


def test_a_small_output_buffer_changes_nothing(rng, monkeypatch):
    program = layer(rng)
    events = programs.random_events(rng, (2, 12, 12), 3000)
    whole = play(program, events, engine_times=EngineTimes())
    monkeypatch.setattr("speckflex.twin.queue_runner.SPIKES_PER_CALL", 1)
    parts = play(program, events, engine_times=EngineTimes())
    assert np.array_equal(whole.events(0), parts.events(0))


def test_the_output_order_holds_within_each_event(rng):
    program = layer(rng)
    events = programs.random_events(rng, (2, 12, 12), 3000)
    settings = {"engine_times": EngineTimes()}
    by_row = play(program, events, **settings).events(0)
    by_channel = play(program, events, output_order="+c+y+x", **settings).events(0)
    assert sorted(by_row.tolist()) == sorted(by_channel.tolist())
    assert by_row.tolist() != by_channel.tolist()


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_impossible_times_are_refused(value):
    with pytest.raises(BoardError, match="engine time spike"):
        replace(EngineTimes(), spike=value)


def test_there_is_one_model_of_time():
    with pytest.raises(BoardError, match="give one model of time"):
        TwinSettings(synops_per_second=1e7, engine_times=EngineTimes())
