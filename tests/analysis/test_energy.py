"""Energy and latency: figures worked out by hand, and made-up boards whose energy is known."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import linregress
from virtual_boards import single_core

from speckflex.analysis.energy import estimate_energy, fit_energy
from speckflex.analysis.latency import decision_times, measure_latency
from speckflex.boards import open_board
from speckflex.boards.chip._power import PowerMeter
from speckflex.events.streams import make_events
from speckflex.recordings.power import (
    SETTING,
    PowerWindow,
    join_windows,
    power_windows,
    windows_as_text,
)
from speckflex.recordings.recording import Provenance, Recording, concatenate_recordings
from speckflex.report import build_report, render_text

IDLE = {"io": 60e-6, "ram": 50e-6, "logic": 370e-6, "pixel_analog": 600e-6}


def window(dynamic, seconds=0.5, **changes):
    """Return a window in which the logic takes `dynamic` J more than idle."""
    playing = {**IDLE, "logic": IDLE["logic"] + dynamic / seconds}
    return replace(PowerWindow(1, seconds, 50, IDLE, playing), **changes)


def outputs(times, classes):
    zeros = np.zeros(len(times), np.int64)
    return make_events(np.array(times, np.int64), zeros, zeros, np.array(classes, np.int64))


@pytest.mark.parametrize(
    ("times", "classes", "expected"),
    [
        # class 2 leads from the first spike on
        ([100, 200, 300], [2, 2, 1], (90, 90)),
        # 0, then a tie that goes to 0, then 1
        ([100, 200, 300], [0, 1, 1], (90, 290)),
        # the lead is lost and won back
        ([10, 20, 30, 40, 50], [1, 0, 0, 1, 1], (0, 40)),
        # 1 leads, and a tie goes to 0
        ([10, 20], [1, 0], (0, 10)),
        ([50], [3], (40, 40)),
        ([], [], None),
    ],
)
def test_a_decision_is_stable_after_the_last_change_of_the_leader(times, classes, expected):
    assert decision_times(outputs(times, classes), 10) == expected


def test_a_stable_decision_is_the_first_moment_that_slow_counting_finds(rng):
    for _ in range(50):
        classes = rng.integers(0, 4, rng.integers(1, 30)).tolist()
        times = np.sort(rng.integers(0, 1000, len(classes))).tolist()
        answers = [
            max(range(4), key=lambda c, n=n: (classes[: n + 1].count(c), -c))
            for n in range(len(classes))
        ]
        stable = next(n for n in range(len(answers)) if len(set(answers[n:])) == 1)
        assert decision_times(outputs(times, classes), 0) == (times[0], times[stable])


def recorded(samples):
    """Return a recording of one neuron that fires at each event, and its input."""
    with open_board("twin", threads=1) as twin:
        twin.load(single_core())
        return twin.play(samples), samples


def test_percentiles_are_over_the_samples_that_were_decided():
    samples = [outputs([t, t + 500], [0, 0]) for t in (0, 100)] + [outputs([], [])]
    recording, events = recorded(samples)
    found = measure_latency(recording, events)
    assert (found.samples, found.decided) == (2, 2)
    assert (found.first_p50, found.first_p95, found.stable_p95) == (0, 0, 0)


def test_spikes_that_were_not_kept_give_no_latency():
    recording, events = recorded([outputs([5], [0])])
    assert measure_latency(recording.without_events(), events).reason
    assert measure_latency(recording, []).reason == "the last layer has no spike"


def test_energy_for_each_spike_is_found_behind_noise(rng):
    spikes = rng.integers(1000, 90_000, 40)
    windows = [window(5e-9 * n + rng.normal(0, 2e-6)) for n in spikes]
    fit = fit_energy(windows, spikes.tolist(), (100 * spikes).tolist())
    assert fit.per_spike.interval[0] < 5e-9 < fit.per_spike.interval[1]
    assert fit.per_synop.value == pytest.approx(fit.per_spike.value / 100)
    assert fit.per_sample.value == pytest.approx(5e-9 * spikes.mean(), rel=0.02)
    # another tool's slope, with its offset free, lies close by
    joules = [sum(w.playing.values()) - sum(w.idle.values()) for w in windows]
    slope = linregress(spikes, np.array(joules) * 0.5).slope
    assert fit.per_spike.value == pytest.approx(slope, rel=0.05)


def test_the_interval_covers_the_truth_in_about_95_of_100_fits(rng):
    hits = 0
    for _ in range(300):
        spikes = rng.integers(1000, 90_000, 8)
        windows = [window(5e-9 * n + rng.normal(0, 2e-5)) for n in spikes]
        low, high = fit_energy(windows, spikes.tolist(), [None] * 8).per_spike.interval
        hits += low < 5e-9 < high
    assert 270 <= hits <= 298


def test_what_can_not_be_fitted_says_why():
    two = fit_energy([window(1e-6)] * 2, [10, 20], [1, 2])
    assert (two.per_sample, two.reason) == (None, "an interval needs 3 samples or more")
    unknown = fit_energy([window(1e-6)] * 3, [10, 20, 30], [1, None, 3])
    assert unknown.per_synop is None
    assert unknown.per_spike is not None
    assert "not known" in unknown.reason
    silent = fit_energy([window(1e-6)] * 3, [0, 0, 0], [1, 2, 3])
    assert silent.per_spike is None


def test_windows_that_say_nothing_of_a_sample_are_left_out():
    bad = [window(9.0, measurements=0), window(9.0, samples=3), window(9.0, idle={})]
    assert fit_energy(bad, [1] * 3, [1] * 3) is None
    fit = fit_energy([*bad, *[window(1e-6)] * 3], [1] * 6, [1] * 6)
    assert fit.windows == 3
    assert fit.per_sample.value == pytest.approx(1e-6)


def test_an_estimate_holds_the_published_power_of_the_networks_that_it_was_made_from():
    for milliwatts, spikes in ((9.5, 1.0e6), (3.8, 0.4e6)):  # DVS-Gesture, 540 ms
        low, high = estimate_energy(spikes, 0.54).watts
        assert low < milliwatts * 1e-3 < high
    low, high = estimate_energy(361_000 * 0.3, 0.3).watts  # N-MNIST, rails of a user
    assert low == pytest.approx(55.4e-6 + 291.5e-6 + 851.6e-6, rel=0.02)


def test_a_meter_counts_only_what_is_measured_in_a_window(monkeypatch):
    monkeypatch.setattr("speckflex.boards.chip._power.IDLE", 0)

    class Measured:
        def __init__(self, value, channel=2):
            self.value, self.channel = value, channel

    # before the idle board, idle, before the window (a reset), in it, before the next, in it
    taken = iter([[9], [1, 3], [100, 200], [5, 7], [300], [6]])
    meter = PowerMeter(lambda: [Measured(value) for value in next(taken)])
    meter.measure_idle()
    for _ in range(2):
        meter.begin()
        meter.end(1)
    assert meter.idle == {"logic": 2}
    assert [one.playing for one in meter.windows] == [{"logic": 6}, {"logic": 6}]
    assert [one.measurements for one in meter.windows] == [2, 1]
    assert meter.mean() == {"logic": 6}


def test_windows_survive_a_file_and_the_joining_of_parts(tmp_path):
    with open_board("virtual:speck2e", power=100.0) as board:
        board.load(single_core())
        parts = [board.play(outputs([0, 60_000], [0, 0])) for _ in range(3)]
        assert [len(power_windows(part.provenance)) for part in parts] == [1, 1, 1]
    whole = concatenate_recordings(parts)
    whole.save(tmp_path / "run.h5")
    windows = power_windows(Recording.load(tmp_path / "run.h5").provenance)
    assert len(windows) == 3
    assert all(one.seconds > 0.05 and one.measurements for one in windows)
    # the stand-in's rails are constants
    assert windows[0].playing == pytest.approx(windows[0].idle)
    report = build_report(
        single_core(), {"chip": whole}, input_events=[outputs([0, 60_000], [0, 0])] * 3
    )
    assert report.latency_and_energy.energy.per_sample.value == 0
    assert "these figures say nothing about a chip" in render_text(report)


@pytest.mark.parametrize("text", ["", "[", "5", "[5]", "[{}]", '[{"samples": "x"}]', "[" * 9999])
def test_what_is_no_power_in_a_recording_is_left_alone(text):
    alien = Provenance("", "chip", "chip", settings={SETTING: text})
    assert power_windows(alien) == ()


def test_a_power_that_is_no_number_is_none():
    text = windows_as_text([window(1e-6)]).replace("0.5", "NaN", 1)
    assert power_windows(Provenance("", "c", "chip", settings={SETTING: text})) == ()
    assert json.loads(join_windows([Provenance("", "c", "chip")])) == []


def test_a_report_without_power_gives_a_range(rng):
    recording, events = recorded([outputs([0, 300_000], [0, 0])])
    text = render_text(build_report(single_core(), {"twin": recording}, input_events=events))
    assert "Estimated from published figures, not measured" in text
    assert "time from the first input event to the output" in text
