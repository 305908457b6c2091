"""Early exit: the rules against plain loops, their curves against cases worked out by hand."""

from math import exp

import numpy as np
import pytest
from made_up import two_core_program
from programs import random_events
from scipy.special import log_softmax, softmax

import speckflex as sf
from speckflex.analysis.early_exit import Margin, Posterior, early_exit, exit_in_steps
from speckflex.analysis.exit_curves import (
    calibrated_scale,
    cut_at,
    exits_of,
    measure_exits,
    study_exits,
    study_steps,
)
from speckflex.analysis.readings import Reading, Spent, outputs_in_steps, read_outputs
from speckflex.analysis.synops import measure_synops
from speckflex.errors import ComparisonError
from speckflex.events.streams import make_events

N_CLASSES = 4
RULES = [Margin(1), Margin(3), Margin(1000), Posterior(0.6, 1.5), Posterior(0.999, 2.0)]


def spikes(times, classes):
    zeros = np.zeros(len(times), np.int64)
    return make_events(np.asarray(times, np.int64), zeros, zeros, np.asarray(classes, np.int64))


def stop_by_hand(times, classes, rule):
    """Return (answer, time, spikes read, decided) of a loop over single spikes."""
    counts = [0] * N_CLASSES
    answer, time, n_read = -1, None, 0
    for moment, spike in zip(times, classes, strict=True):
        counts[spike] += 1
        answer, time, n_read = counts.index(max(counts)), moment, n_read + 1
        first, second = sorted(counts, reverse=True)[:2]
        if isinstance(rule, Margin):
            met = first - second >= rule.spikes
        else:
            total = sum(exp(count / rule.scale) for count in counts)
            met = exp(first / rule.scale) / total >= rule.confidence
        if met:
            return answer, time, n_read, True
    return answer, time, n_read, False


def random_output(rng):
    n = int(rng.integers(0, 40))
    return np.sort(rng.integers(0, 900, n)), rng.choice(N_CLASSES, n, p=[0.5, 0.3, 0.1, 0.1])


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_rule_stops_where_a_loop_over_single_spikes_does(rule, rng):
    for _ in range(60):
        times, classes = random_output(rng)
        found = early_exit(spikes(times, classes), rule, n_classes=N_CLASSES)
        expected = stop_by_hand(times.tolist(), classes.tolist(), rule)
        assert (found.answer, found.time, found.spikes, found.decided) == expected


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_blocks_of_a_stream_give_the_exit_of_the_whole(rule, rng):
    for _ in range(30):
        whole = spikes(*random_output(rng))
        blocks = np.split(whole, np.sort(rng.integers(0, len(whole) + 1, 3)))
        assert early_exit(iter(blocks), rule, n_classes=N_CLASSES) == early_exit(
            whole, rule, n_classes=N_CLASSES
        )


def test_no_block_is_taken_after_the_exit():
    def live():
        yield spikes([10, 20], [1, 1])
        raise AssertionError("read on after the exit")

    found = sf.early_exit(live(), sf.Margin(2), n_classes=3)
    assert found == sf.Exit(answer=1, time=20, spikes=2, decided=True)


def test_the_first_spike_meets_a_margin_of_one_and_nothing_meets_silence():
    assert early_exit(spikes([7, 8], [2, 0]), Margin(1), n_classes=3).time == 7
    silent = early_exit(spikes([], []), Margin(1), n_classes=3)
    assert (silent.answer, silent.time, silent.decided) == (-1, None, False)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Margin(0), "a margin of 0 spikes"),
        (lambda: Posterior(1.0, 1.0), "confidence 1.0 is no probability"),
        (lambda: Posterior(0.5, 0.0), "scale 0.0 is no positive number"),
        (
            lambda: early_exit(spikes([1], [5]), Margin(1), n_classes=3),
            "a spike is of class 5, there are 3",
        ),
    ],
)
def test_what_is_no_rule_is_refused(make, match):
    with pytest.raises(ComparisonError, match=match):
        make()


def reading(times, classes, end=1000, spent=None):
    return Reading(end, np.asarray(times, np.int64), np.asarray(classes, np.int16), spent)


def test_the_exits_of_all_thresholds_are_those_of_the_rule_alone(rng):
    outputs = [random_output(rng) for _ in range(30)]
    readings = [reading(*output) for output in outputs]
    thresholds = [1, 2, 3, 5, 8, 100]
    for threshold, exits in zip(
        thresholds, exits_of(readings, Margin(1).evidence, thresholds, N_CLASSES), strict=True
    ):
        alone = [
            early_exit(spikes(*output), Margin(threshold), n_classes=N_CLASSES)
            for output in outputs
        ]
        assert exits.answers.tolist() == [one.answer for one in alone]
        assert exits.spikes.tolist() == [one.spikes for one in alone]
        assert exits.times.tolist() == [one.time if one.decided else 1000 for one in alone]


def test_a_fixed_time_reads_the_spikes_up_to_it(rng):
    outputs = [random_output(rng) for _ in range(30)]
    exits = cut_at([reading(*output) for output in outputs], 400, N_CLASSES)
    for index, (times, classes) in enumerate(outputs):
        seen = classes[times <= 400].tolist()
        most = max(range(N_CLASSES), key=lambda k: (seen.count(k), -k)) if seen else -1
        assert (exits.spikes[index], exits.answers[index]) == (len(seen), most)
    assert set(exits.times) == {400}


def easy_and_hard(n):
    """Return samples of which every fourth group of four begins with spikes of a wrong class."""
    easy = (np.arange(10, 170, 10), np.zeros(16, int))
    hard = (np.arange(10, 970, 10), np.r_[np.ones(4, int), np.zeros(92, int)])
    labels = np.arange(n) % 2
    readings = []
    for index, label in enumerate(labels):
        times, classes = hard if index // 4 % 4 == 3 else easy
        readings.append(reading(times, classes if label == 0 else 1 - classes))
    return readings, labels


def test_a_margin_beats_the_fixed_time_where_samples_differ_in_difficulty():
    readings, labels = easy_and_hard(80)
    study = study_exits(readings, labels, 2)
    margin = next(one for one in study.choices if one.rule == "margin")
    assert margin.same_time is not None
    assert margin.over_time is not None
    # five spikes ahead: after 50 µs where it is easy, after 130 where four wrong ones come first
    assert margin.judged.setting == 5
    assert margin.judged.mean_time == pytest.approx((3 * 50 + 130) / 4)
    assert margin.judged.accuracy == 1.0
    # at 70 µs four wrong spikes stand against three right ones
    assert margin.same_time.setting == pytest.approx(70, abs=1)
    assert margin.same_time.accuracy == 0.75
    assert margin.over_time.after - margin.over_time.before == 0.25


def test_curves_rise_from_the_first_spike_to_the_whole_sample(rng):
    outputs = [random_output(rng) for _ in range(40)]
    readings, labels = [reading(*one) for one in outputs], np.arange(40) % N_CLASSES
    study = study_exits(readings, labels, N_CLASSES)
    assert study.chosen_on + study.judged_on == 40
    for curve in study.curves.values():
        times = [point.mean_time for point in curve]
        assert times == sorted(times)
    whole = study.curves["time"][-1]
    assert whole.accuracy == study.to_the_end.accuracy
    answers = [np.bincount(c, minlength=N_CLASSES).argmax() if len(c) else -1 for _, c in outputs]
    assert whole.accuracy == np.mean(np.array(answers) == labels)


def test_a_silent_output_is_never_right():
    readings, labels = [reading([], []) for _ in range(4)], np.zeros(4, np.int64)
    study = study_exits(readings, labels, 3)
    points = [point for curve in study.curves.values() for point in curve]
    assert {point.accuracy for point in points} == {0.0}
    assert {point.decided for point in study.curves["margin"]} == {0.0}


def test_one_sample_of_a_class_leaves_nothing_to_judge():
    study = study_exits([reading([1], [0])], np.array([0]), 2)
    assert study.choices == ()
    assert study.curves["margin"][0].accuracy == 1.0


def test_no_scale_of_a_grid_explains_the_labels_better(rng):
    readings, labels, moments = [], [], []
    for _ in range(60):
        classes = rng.permutation(np.repeat(np.arange(3), rng.integers(1, 12, 3)))
        labels.append(rng.choice(3, p=softmax(np.bincount(classes) / 3.0)))
        readings.append(reading(np.full(len(classes), 5), classes))
        for place in np.linspace(0, len(classes) - 1, 9).astype(int)[1:]:
            seen = np.bincount(classes[: place + 1], minlength=3)
            moments.append((seen, labels[-1]))

    def surprise(scale):
        return -sum(log_softmax(seen / scale)[label] for seen, label in moments)

    found = calibrated_scale(readings, np.array(labels), 3)
    assert surprise(found) <= min(map(surprise, np.geomspace(0.1, 100, 60)))
    assert 0.5 < found < 50


def test_seenn_stops_at_the_first_step_that_a_loop_is_sure_of(rng):
    outputs = rng.integers(0, 4, (30, 6, 3)).astype(np.float64)
    steps, answers = exit_in_steps(outputs, confidence=0.7, scale=0.8)
    for sample, step, answer in zip(outputs, steps, answers, strict=True):
        for t in range(1, 7):
            mean = sample[:t].mean(axis=0)
            if softmax(mean / 0.8).max() >= 0.7 or t == 6:
                break
        assert (step, answer) == (t, int(mean.argmax()))


def test_seenn_is_judged_on_the_half_that_did_not_calibrate_it(rng):
    labels = np.arange(40) % 2
    outputs = np.zeros((40, 5, 2))
    outputs[np.arange(40), :, labels] = 2.0
    outputs[::4] = 0.0
    _, points = study_steps(outputs, labels)
    judged = np.concatenate([np.flatnonzero(labels == k)[1::2] for k in range(2)])
    assert points[0].accuracy == np.mean(outputs[judged].any(axis=(1, 2)))


@pytest.fixture(scope="module")
def played():
    """A program, its input and what the twin recorded."""
    rng = np.random.default_rng(3)
    program = two_core_program()
    events = []
    for n in (0, 60, 150):
        stream = random_events(rng, program.input.shape, n)
        stream["t"] = 300 + 700 * stream["t"]
        events.append(stream)
    with sf.open_board("twin") as board:
        board.load(program)
        return program, events, board.play(events)


def test_what_is_spent_at_the_end_is_the_work_of_the_whole_sample(played):
    program, events, recording = played
    readings = read_outputs(recording, events, program)
    total = sum(core.total for core in measure_synops(program, recording, events))
    spent = [one.spent for one in readings]
    assert sum(int(one.synops[-1]) for one in spent) == total > 0
    assert [int(one.spikes[-1]) for one in spent] == [log.read for log in recording.samples]


def test_what_is_spent_by_a_time_is_counted_up_to_the_end_of_its_step(played):
    program, events, recording = played
    found = read_outputs(recording, events, program)[2]
    start, step = int(events[2]["t"].min()), found.spent.step
    assert len(found.spent.spikes) > 10
    for time in (0, 5_000, 20_000):
        until = start + (time // step + 1) * step
        expected = sum(int((record.events[2]["t"] < until).sum()) for record in recording.layers)
        assert found.spent.spikes[found.spent.at(time)] == expected


def test_a_point_has_the_mean_of_what_its_samples_spent():
    spent = Spent(1000, np.array([3, 5]), np.array([10, 40]))
    readings = [reading([500], [0], 1500, spent), reading([1400], [0], 1500, spent)]
    exits = exits_of(readings, Margin(1).evidence, [1], 2)[0]
    point = measure_exits(readings, np.zeros(2, int), exits, 1)
    assert (point.synops, point.mean_time, point.spikes_read) == (25.0, 950.0, 1.0)
    # 4 spikes of 2.2 to 5.1 nJ, and 0.95 ms of 383 to 480 µW
    assert point.joules == pytest.approx((8.8e-9 + 363.85e-9, 20.4e-9 + 456e-9))


def test_counts_and_potentials_alone_are_refused(played):
    _, events, recording = played
    with pytest.raises(ComparisonError, match="twin: the spikes of the last layer were not kept"):
        read_outputs(recording.without_events(), events)


def test_spikes_of_torch_are_put_back_into_their_time_steps():
    """The end of step k of 3 is first + (last - first) * k // 3."""
    from speckflex.recordings.recording import LayerRecord, Provenance, Recording, SampleLog

    events = spikes([100, 200], [0, 0])
    output = spikes([133, 166, 166, 200], [0, 1, 1, 0])
    record = LayerRecord(0, "out", np.array([[[[2]], [[2]]]]), (output,))
    origin = Provenance("", "torch", "torch", settings={"bins": "3"})
    recording = Recording((record,), 1, (SampleLog(2, 2, 4),), origin)
    steps = outputs_in_steps(recording, [events], 3)
    assert steps.tolist() == [[[1, 0], [0, 2], [1, 0]]]
