"""Synaptic operations against the slow twin, which counts each update it makes."""

from dataclasses import replace
from typing import Any

import numpy as np
import programs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import ReferenceTwin

from speckflex.analysis.synops import (
    add_synops,
    count_taps,
    measure_known_synops,
    measure_synops,
    synops_per_window,
)
from speckflex.boards.twin import Twin
from speckflex.chips.speck import SPECK2E
from speckflex.errors import ComparisonError
from speckflex.events.streams import EVENT_DTYPE, make_events
from speckflex.program.program import Program
from speckflex.program.records import Core, Destination, InputStage
from speckflex.recordings.recording import LayerRecord, Provenance, Recording, SampleLog
from speckflex.twin.settings import EdgeSpikes, TwinSettings


class CountingTwin(ReferenceTwin):
    """The slow twin, counting events and updates of each core."""

    def __init__(self, program: Program, choices: TwinSettings):
        super().__init__(program, choices)
        self.arrivals = [0] * len(program.cores)
        self.updates = [0] * len(program.cores)

    def arrive(self, index: int, *event: Any):
        """Count the event, then let it arrive."""
        self.arrivals[index] += 1
        super().arrive(index, *event)

    def update(self, core: Core, *neuron: Any):
        """Count the update, then make it."""
        self.updates[self.program.cores.index(core)] += 1
        return super().update(core, *neuron)


def recorded(program: Program, spikes: list, *, edge_spikes: str = "drop") -> Recording:
    """Return what a board that monitors every layer would give for one sample."""
    layers = []
    for index, (core, rows) in enumerate(zip(program.cores, spikes, strict=True)):
        events = np.array(rows, EVENT_DTYPE) if rows else np.empty(0, EVENT_DTYPE)
        counts = np.zeros((1, *core.output_shape), np.int64)
        np.add.at(counts[0], (events["p"], events["y"], events["x"]), 1)
        layers.append(LayerRecord(index, core.name, counts, (events,)))
    origin = Provenance(program.sha256, "twin", "twin", settings={"edge_spikes": edge_spikes})
    return Recording(tuple(layers), len(layers), (SampleLog(0, 0, 0),), origin)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(["random_chain", "random_graph"]),
    edge_spikes=st.sampled_from(["drop", "keep"]),
)
def test_every_update_of_the_slow_twin_is_counted(seed: int, kind: str, edge_spikes: EdgeSpikes):
    rng = np.random.default_rng(seed)
    program = getattr(programs, kind)(rng, int(rng.integers(1, 4)))
    events = programs.random_events(rng, program.input.shape, 8)
    twin = CountingTwin(program, TwinSettings(edge_spikes=edge_spikes))
    twin.play(events)
    recording = recorded(program, twin.spikes, edge_spikes=edge_spikes)
    found = measure_synops(program, recording, [events])
    measured = [layer for layer in found if not layer.reason]
    assert [layer.total for layer in measured] == [twin.updates[i.index] for i in measured]
    assert [layer.input_events for layer in measured] == [
        twin.arrivals[layer.index] for layer in measured
    ]
    fed = {d.core for sender in (program.input, *program.cores) for d in sender.destinations}
    assert {layer.index for layer in measured} == fed


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    passes=st.sampled_from(["last", "first"]),
    monitor=st.sampled_from(["before", "after"]),
    reset=st.booleans(),
)
def test_behind_a_decimator_only_what_passes_is_counted(
    seed: int, passes: Any, monitor: Any, *, reset: bool
):
    rng = np.random.default_rng(seed)
    program = programs.random_graph(rng, 3)
    cores = [
        replace(core, decimator_interval=int(rng.integers(0, 3)) if rng.random() < 0.7 else None)
        for core in program.cores
    ]
    program = replace(program, cores=tuple(cores))
    streams = [programs.random_events(rng, program.input.shape, 10) for _ in range(3)]
    chosen = TwinSettings(decimator_passes=passes, decimator_monitor=monitor)
    slow = CountingTwin(program, chosen)
    for events in streams:
        if reset:
            slow.reset()
        slow.play(events)
    with Twin(settings=chosen) as twin:
        twin.load(program)
        recording = twin.play(streams, reset=reset)
    measured = measure_synops(program, recording, streams, reset=reset)
    assert [layer.total for layer in measured] == slow.updates
    assert [layer.input_events for layer in measured] == slow.arrivals


def one_core(*, padding: tuple[int, int] = (0, 0), side: int = 8):
    core = Core("conv", np.ones((4, 1, 3, 3)), 100, -100, (1, side, side), padding=padding)
    return Program((core,), InputStage((1, side, side)))


def events_at(times: Any, y: Any, x: Any):
    n = len(times)
    return make_events(np.array(times), np.full(n, x), np.full(n, y), np.zeros(n))


def silent(program: Program, n_samples: int = 1):
    core = program.cores[0]
    layer = LayerRecord(0, core.name, np.zeros((n_samples, *core.output_shape), np.int64))
    logs = (SampleLog(0, 0, 0),) * n_samples
    return Recording((layer,), 1, logs, Provenance("", "twin", "twin"))


def test_in_the_middle_of_a_map_the_formula_is_exact():
    program = one_core()
    events = events_at([0, 5, 9], 4, 4)
    (layer,) = measure_synops(program, silent(program), [events])
    assert layer.total == layer.formula == 3 * 4 * 3 * 3


def test_at_a_corner_an_event_updates_fewer_neurons():
    corner = events_at([0], 0, 0)
    assert count_taps(one_core().cores[0], corner) == 4 * 1 * 1
    assert count_taps(one_core(padding=(1, 1)).cores[0], corner) == 4 * 2 * 2


def test_the_peak_is_the_busiest_window_of_all_samples():
    program = one_core()
    quiet = events_at([0, 20_000], 4, 4)
    busy = events_at([0, 30_000, 35_000, 39_999, 40_000], 4, 4)
    (layer,) = measure_synops(program, silent(program, 2), [quiet, busy], window=10_000)
    assert layer.peak_sample == 1
    assert layer.peak_time == 30_000
    assert layer.peak_per_second == 3 * 36 / 0.010
    assert layer.load == layer.peak_per_second / SPECK2E.synops_per_second


def brute_force_peak(times: np.ndarray, window: int):
    return max(int(((times >= t) & (times < t + window)).sum()) for t in times)


@given(st.lists(st.integers(0, 40_000), min_size=1, max_size=30), st.integers(1, 20_000))
def test_no_window_holds_more_than_the_peak(times: list, window: int):
    program = one_core()
    (layer,) = measure_synops(program, silent(program), [events_at(times, 4, 4)], window=window)
    expected = brute_force_peak(np.array(times), window) * 36 * 1e6 / window
    assert layer.peak_per_second == pytest.approx(expected)


def test_the_sustained_rate_is_taken_over_the_whole_input():
    program = one_core()
    (layer,) = measure_synops(program, silent(program), [events_at([0, 10, 500_000], 4, 4)])
    assert layer.sustained_per_second == pytest.approx(3 * 36 / 0.5)


def test_a_core_whose_source_was_not_recorded_says_so():
    first, second = one_core().cores[0], one_core(side=6).cores[0]
    second = Core("second", np.ones((1, 4, 3, 3)), 9, -9, (4, 6, 6))
    first = Core("first", first.weights, 9, -9, (1, 8, 8), destinations=(Destination(1),))
    program = Program((first, second), InputStage((1, 8, 8)))
    recording = silent(program)
    found = measure_synops(program, recording, [events_at([0], 4, 4)])
    assert found[0].total == 36
    assert found[1].peak_per_second is None
    assert "were not recorded" in found[1].reason


def test_without_any_event_the_work_is_zero():
    program = one_core()
    (layer,) = measure_synops(program, silent(program), [events_at([], 4, 4)])
    assert (layer.total, layer.peak_per_second, layer.sustained_per_second) == (0, 0, 0)


def test_adjoining_windows_hold_all_operations(rng: np.random.Generator):
    core = one_core().cores[0]
    events = events_at(np.sort(rng.integers(0, 10**6, 200)), 4, 4)
    starts, rates = synops_per_window(core, events, window=10_000)
    assert rates.sum() * 0.010 == pytest.approx(count_taps(core, events).sum())
    np.testing.assert_array_equal(np.diff(starts), 10_000)


def test_windows_of_a_stream_with_a_gap_of_years_take_no_memory():
    core = one_core().cores[0]
    events = events_at([0, 5, 10**15], 4, 4)
    starts, rates = synops_per_window(core, events, window=10_000)
    assert starts.tolist() == [0, 10**15]
    # an event in the middle updates 3 x 3 neurons of 4 features
    assert rates.tolist() == pytest.approx([2 * 36 / 0.010, 36 / 0.010])


def test_events_of_another_set_of_samples_are_refused():
    program = one_core()
    streams = [events_at([0], 4, 4)] * 3
    with pytest.raises(ComparisonError, match=r"events of 3 samples .* has 2: .* first 2 "):
        measure_synops(program, silent(program, 2), streams)
    with pytest.raises(ComparisonError, match="the input: the events of 1 samples"):
        measure_synops(program, silent(program, 2), streams[:1])
    (found,) = measure_synops(program, silent(program, 3).part(0, 2), streams[:2])
    assert (found.samples, found.total, found.per_inference) == (2, 72, 36)


def test_the_work_of_a_run_is_that_of_all_its_parts():
    program = one_core()
    streams = [events_at(times, 4, 4) for times in ([0, 20_000], [5, 9_000, 9_999], [7])]
    whole = measure_synops(program, silent(program, 3), streams)
    parts = [
        measure_synops(program, silent(program, len(part)), part)
        for part in (streams[:1], streams[1:])
    ]
    assert add_synops(parts) == whole


def test_the_first_samples_are_measured_where_no_more_events_are_known():
    program = one_core()
    (found,) = measure_known_synops(program, silent(program, 3), [events_at([0], 4, 4)])
    assert (found.samples, found.total) == (1, 36)
