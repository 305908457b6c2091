"""Fewer spikes for the same function: scales, the work of a spike, and tuning under a budget."""

from dataclasses import replace

import numpy as np
import pytest
from programs import random_chain, random_events, random_graph

import speckflex as sf
from speckflex.analysis.spike_scales import SpikeScale, rescale_program, spike_work, tied_layers
from speckflex.analysis.synops import measure_synops
from speckflex.analysis.tuning import Samples, TuneSettings, tune_program
from speckflex.errors import ComparisonError, ConversionError
from speckflex.events.streams import make_events
from speckflex.program.program import Program
from speckflex.program.records import Core, Destination, InputStage


def play(program, events):
    with sf.open_board("twin", threads=1) as board:
        board.load(program)
        return board.play(events)


def even_chain(rng):
    """Return two layers whose numbers can be halved or doubled without rounding."""
    first = Core(
        "conv1",
        rng.integers(-30, 40, (4, 1, 3, 3)),
        24,
        -48,
        (1, 6, 6),
        padding=(1, 1),
        destinations=(Destination(1, pooling=2),),
    )
    last = Core(
        "fc",
        rng.integers(-60, 64, (3, 4, 3, 3)),
        160,
        -320,
        (4, 3, 3),
        initial_state=2 * rng.integers(-20, 20, (3, 1, 1)),
    )
    return Program((first, last), InputStage((1, 6, 6)), "unbounded")


def test_a_spike_that_is_worth_two_is_a_weight_that_is_doubled(rng):
    program = even_chain(rng)
    events = random_events(rng, (1, 6, 6), 2000)
    first, last = program.cores
    doubled = Program(
        (
            replace(first, threshold_high=48, threshold_low=-96),
            replace(last, weights=2 * last.weights.astype(int)),
        ),
        program.input,
        "unbounded",
    )
    tuned = rescale_program(program, [SpikeScale(2.0), SpikeScale()])
    assert tuned.cores[0].threshold_high == 48
    assert tuned.cores[1].threshold_high == 80
    found, expected = play(tuned, events), play(doubled, events)
    assert expected.counts(1).sum() > 50
    for layer in range(2):
        assert np.array_equal(found.events(layer), expected.events(layer))


def test_a_scale_of_one_changes_nothing(rng):
    program = random_chain(rng, 3)
    assert rescale_program(program, [SpikeScale()] * 3).sha256 == program.sha256


def test_layers_before_the_scaled_one_spike_as_before(rng):
    program = random_chain(np.random.default_rng(8), 3)
    program = replace(program, cores=tuple(replace(c, threshold_high=60) for c in program.cores))
    events = random_events(rng, program.input.shape, 300)
    before = play(program, events)
    after = play(rescale_program(program, [SpikeScale(), SpikeScale(3.0), SpikeScale()]), events)
    assert np.array_equal(before.events(0), after.events(0))
    assert before.counts(1).sum() > after.counts(1).sum() > 0


def test_one_of_two_spikes_leaves_a_decimated_core(rng):
    program = even_chain(rng)
    tuned = rescale_program(program, [SpikeScale(decimation=2), SpikeScale()])
    assert (tuned.cores[0].decimator_interval, tuned.cores[1].threshold_high) == (0, 80)
    events = random_events(rng, (1, 6, 6), 2000)
    before, after = (
        measure_synops(one, play(one, events), [events])[1].input_events for one in (program, tuned)
    )
    # pooling drops no spike here
    assert after == before // 2 > 100


def test_the_work_of_all_spikes_is_what_their_events_cause(rng):
    for seed in range(6):
        own = np.random.default_rng(seed)
        program = random_graph(own, 4) if seed % 2 else random_chain(own, 4)
        events = random_events(rng, program.input.shape, 200)
        recording = play(program, events)
        found = np.zeros(len(program.cores), int)
        inputs = np.zeros(program.input.shape, int)
        np.add.at(inputs, (events["p"], events["y"], events["x"]), 1)
        for source in range(-1, len(program.cores)):
            counts = inputs if source < 0 else recording.counts(source)[0]
            for target, work in spike_work(program, source).items():
                found[target] += int((counts * work).sum())
        measured = measure_synops(program, recording, [events])
        assert found.tolist() == [core.total for core in measured]


def residual(shape=(1, 4, 4)):
    """Return a program whose last core adds two layers."""
    weights = np.full((1, 1, 1, 1), 40)
    cores = (
        Core("a", weights, 30, -30, shape, destinations=(Destination(1), Destination(2))),
        Core("b", weights, 30, -30, shape, destinations=(Destination(2),)),
        Core("sum", weights, 30, -30, shape),
    )
    return Program(cores, InputStage(shape), "unbounded")


def test_layers_that_are_merged_are_tied():
    program = residual()
    assert tied_layers(program) == [(0, 1)]
    with pytest.raises(ConversionError, match=r"core sum: .*of a \(2\) and b \(1\): give the"):
        rescale_program(program, [SpikeScale(2.0), SpikeScale(), SpikeScale()])


@pytest.mark.parametrize(
    ("scales", "match"),
    [
        ([SpikeScale(2000.0), SpikeScale()], "conv1: threshold_high would be 48000, a neuron"),
        ([SpikeScale(400.0), SpikeScale()], "fc: a threshold of 160 times 0.0025 is below 1"),
        ([SpikeScale(decimation=3), SpikeScale()], "conv1: it can't pass one of 3 spikes"),
    ],
)
def test_numbers_that_the_chip_does_not_hold_are_refused(scales, match, rng):
    with pytest.raises(ConversionError, match=match):
        rescale_program(even_chain(rng), scales)


def left_or_right(rng, n):
    """Return events in the left or the right half, with a few on the other side."""
    events, labels = [], np.arange(n) % 2
    for label in labels:
        x = rng.integers(0, 3, 150) + 3 * np.where(rng.random(150) < 0.9, label, 1 - label)
        y, times = rng.integers(0, 6, 150), np.sort(rng.integers(0, 40_000, 150))
        events.append(make_events(times, x, y, np.zeros(150, int)))
    return Samples(events, labels)


@pytest.fixture(scope="module")
def sides():
    """A network that says on which side the events are; its second core has most to do."""
    first = Core(
        "conv1",
        np.full((8, 1, 1, 1), 60),
        60,
        -60,
        (1, 6, 6),
        destinations=(Destination(1),),
    )
    fc = np.zeros((2, 8, 6, 6), int)
    fc[0, ..., :3] = fc[1, ..., 3:] = 20
    fc[0, ..., 3:] = fc[1, ..., :3] = -20
    last = Core("fc", fc, 400, -400, (8, 6, 6), destinations=())
    program = Program((first, last), InputStage((1, 6, 6)), "unbounded")
    rng = np.random.default_rng(4)
    return program, left_or_right(rng, 12), left_or_right(rng, 12)


SETTINGS = TuneSettings(0.5, configurations=5, candidates=3, threads=1)


def test_the_busiest_core_has_half_the_work_and_the_answers_stay(sides):
    program, choosing, judging = sides
    seen = []
    found = tune_program(program, choosing, judging, SETTINGS, watch=lambda *one: seen.append(one))
    assert found.busiest[1] <= 0.55 * found.busiest[0]
    assert (found.gain.before, found.gain.after) == (1.0, 1.0)
    # the figures against a play of the tuned program
    recording = play(found.program, judging.events)
    core = measure_synops(found.program, recording, judging.events)[1]
    assert found.layers[1].load[1] == pytest.approx(core.sustained_per_second)
    assert found.layers[0].spikes[1] == recording.counts(0).sum() / 12
    assert found.answers[:, 1].tolist() == recording.answers().tolist()
    assert found.layers[0].scale >= 2.0
    assert found.program.metadata["tuned"].startswith("thresholds: conv1 x")
    assert seen[-1][0] == seen[-1][1]


def test_accuracies_without_a_difference_leave_the_model_out_with_the_reason(sides):
    program, choosing, judging = sides
    assert "no model of the accuracy: the accuracies" in (
        tune_program(program, choosing, judging, SETTINGS).model
    )


def test_a_decimator_does_it_too(sides):
    program, choosing, judging = sides
    settings = replace(SETTINGS, space="decimation", configurations=4)
    found = tune_program(program, choosing, judging, settings)
    assert found.program.cores[0].decimator_interval is not None
    recording = play(found.program, judging.events)
    core = measure_synops(found.program, recording, judging.events)[1]
    assert found.layers[1].load[1] == pytest.approx(core.sustained_per_second, rel=0.01)


def test_a_budget_below_what_the_input_asks_for_is_refused_with_the_least_one(sides):
    program, choosing, judging = sides
    with pytest.raises(ComparisonError, match=r"core conv1: its input alone .* 0\.50 of the busi"):
        tune_program(program, choosing, judging, replace(SETTINGS, budget=0.3))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"budget": 1.5}, "a budget of 1.5 is no share"),
        ({"configurations": 2}, "2 configurations are too few for 1 layers: measure 3"),
    ],
)
def test_settings_without_sense_are_refused(sides, changes, match):
    program, choosing, judging = sides
    with pytest.raises(ComparisonError, match=match):
        tune_program(program, choosing, judging, replace(SETTINGS, **changes))


def test_one_layer_alone_can_not_be_tuned(sides):
    _, choosing, judging = sides
    alone = Program((Core("fc", np.ones((2, 1, 6, 6)), 9, -9, (1, 6, 6)),), InputStage((1, 6, 6)))
    with pytest.raises(ComparisonError, match="no layer of the program sends spikes"):
        tune_program(alone, choosing, judging, SETTINGS)


def test_samples_without_labels_are_refused(sides):
    program, choosing, judging = sides
    unknown = Samples(judging.events, np.full(12, -1))
    with pytest.raises(ComparisonError, match="needs samples with labels"):
        tune_program(program, choosing, unknown, SETTINGS)
