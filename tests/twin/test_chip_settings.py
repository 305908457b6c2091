"""Settings for what documents contradict about the chip, each against a count by hand."""

import numpy as np
import pytest

import speckflex as sf
from speckflex.errors import BoardError
from speckflex.events import make_events
from speckflex.program.program import Program
from speckflex.program.records import Core, Destination, InputStage
from speckflex.twin.settings import TwinSettings


def relay(name="relay", channels=1, **changes):
    """Return a layer that sends one spike for each event, of the channel that it arrives at."""
    weights = np.eye(channels).reshape(channels, channels, 1, 1) * 10
    return Core(name, weights, 10, -10, (channels, 1, 4), **changes)


def play(cores, events, stage=None, *, reset=True, **settings):
    """Return the recording of one-row events, times and columns given."""
    program = Program(tuple(cores), stage or InputStage(cores[0].input_shape), "speck2e")
    with sf.open_board("twin", threads=1, settings=TwinSettings(**settings)) as board:
        board.load(program)
        return board.play(events, reset=reset)


def row(times, columns, channels=None):
    """Return events in a row of pixels."""
    return make_events(times, columns, np.zeros(len(times), int), channels or [0] * len(times))


@pytest.mark.parametrize(("core", "seen"), [(0, 2), (1, 2), (2, 3)])
def test_cores_0_and_1_keep_their_last_spike_back(core, seen):
    events = row([10, 20, 30], [1, 2, 3])
    recording = play([relay(chip_core=core)], events, withheld_spike="last")
    spikes = recording.events(0)
    assert spikes["x"].tolist() == [1, 2, 3][:seen]
    # each leaves when the next one pushes it out
    assert spikes["t"].tolist() == ([20, 30] if seen == 2 else [10, 20, 30])
    assert recording.counts(0).sum() == seen


def test_a_withheld_spike_leaves_in_the_next_sample_unless_neurons_are_reset():
    samples = [row([10], [1]), row([10], [2])]
    cores = [relay(chip_core=0)]
    reset = play(cores, samples, withheld_spike="last")
    kept = play(cores, samples, withheld_spike="last", reset=False)
    assert reset.counts(0).sum() == 0
    assert kept.events(0, 1)["x"].tolist() == [1]


def test_a_layer_behind_cores_0_and_1_gets_what_leaves_them():
    cores = [relay("first", chip_core=1, destinations=(Destination(1),)), relay(chip_core=3)]
    recording = play(cores, row([10, 20, 30], [1, 2, 3]), withheld_spike="last")
    assert recording.counts(1)[0, 0, 0].tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(("core", "after"), [(0, 0), (1, 0), (2, -3)])
def test_cores_0_and_1_may_have_no_leak(core, after):
    leaky = relay(chip_core=core, bias=np.array([-1]))
    program = Program((leaky,), InputStage(leaky.input_shape), "speck2e")
    settings = TwinSettings(slow_clock_period=10, leak_cores_01="none")
    with sf.open_board("twin", settings=settings) as board:
        board.load(program)
        board.play(row([35], [0]))
        assert board.read_neurons(0)[0, 0, 1:].tolist() == [after] * 3


@pytest.mark.parametrize(
    ("table", "counts"),
    [("without 64", [1100 // n for n in (128, 256, 512)]), ("with 64", [17, 8, 4])],
)
def test_the_decimator_has_one_of_two_tables(table, counts):
    events = row(np.arange(1100), np.zeros(1100, int))
    for interval, count in zip((5, 6, 7), counts, strict=True):
        first = relay("first", decimator_interval=interval, destinations=(Destination(1),))
        recording = play([first, relay()], events, decimator_table=table)
        assert recording.counts(1).sum() == count


@pytest.mark.parametrize("feature", [0, 1])
def test_merged_polarities_have_the_channel_that_is_set(feature):
    stage = InputStage((2, 1, 4), merge_polarities=True)
    events = row([1, 2, 3], [0, 1, 2], [0, 1, 1])
    one = play([relay()], events, stage, merge_feature=feature)
    # a layer with one input channel has no channel 1
    assert one.counts(0).sum() == (3 if feature == 0 else 0)
    two = play([relay(channels=2)], events, stage, merge_feature=feature)
    assert two.counts(0).sum(axis=(2, 3)).tolist() == [[3, 0][:: -1 if feature else 1]]


@pytest.mark.parametrize(
    ("feature", "expected"), [(0, [2, 0]), (1, [0, 2]), ("that of the polarity", [0, 2])]
)
def test_one_polarity_alone_has_the_channel_that_is_set(feature, expected):
    stage = InputStage((2, 1, 4), keep_off=False)
    events = row([1, 2, 3], [0, 1, 2], [0, 1, 1])
    recording = play([relay(channels=2)], events, stage, single_polarity_feature=feature)
    assert recording.counts(0).sum(axis=(2, 3)).tolist() == [expected]


@pytest.mark.parametrize(
    ("order", "fires"),
    [("listed", [1, 0]), ("reversed", [0, 1]), ("lower feature first", [1, 1]),
     ("higher feature first", [0, 0])],
)  # fmt: skip
def test_destinations_are_served_in_the_order_that_is_set(order, fires):
    """Channel 0 excites by a threshold; channel 1 inhibits by as much, down to the bound."""
    weights = np.array([10, -10]).reshape(1, 2, 1, 1)
    target = Core("target", weights, 10, -10, (2, 1, 4))
    counts = []
    for shifts in ((0, 1), (1, 0)):
        destinations = tuple(Destination(1, feature_shift=shift) for shift in shifts)
        cores = [relay("first", destinations=destinations), target]
        recording = play(cores, row([1], [2]), destination_order=order)
        counts.append(int(recording.counts(1).sum()))
    assert counts == fires


def test_a_rate_of_work_has_no_withheld_spikes():
    with pytest.raises(BoardError, match=r"withheld_spike of 'last'.*leave one of the two out"):
        TwinSettings(synops_per_second=1e7, withheld_spike="last")
