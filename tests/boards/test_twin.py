"""The twin has the same spikes as the slow reference, for every program."""

import os
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import programs
import pytest
from agreement import assert_twin_equals_reference, check_seed
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from speckflex.boards.twin import Twin
from speckflex.events.streams import make_events
from speckflex.program.program import Program
from speckflex.program.records import Core, Destination, InputStage
from speckflex.twin.settings import TwinSettings

SEEDS = st.integers(0, 2**32 - 1)


@examples(max_examples=100)
@given(seed=SEEDS)
def test_a_random_program_spikes_like_the_depth_first_reference(seed):
    check_seed(seed)


@pytest.mark.parametrize("seed", range(40))
def test_merges_and_splits_spike_like_the_depth_first_reference(seed):
    rng = np.random.default_rng(seed)
    program = programs.random_graph(rng, 4)
    streams = [programs.random_events(rng, program.input.shape, 20)]
    assert_twin_equals_reference(program, streams, programs.random_settings(rng))


CUTS_LAST = "compare before cutting to 16 bits"


@pytest.mark.parametrize("seed", range(4))
def test_a_board_that_mirrors_nothing_and_cuts_last_spikes_like_the_reference(seed):
    rng = np.random.default_rng(seed)
    program = programs.random_graph(rng, 3)
    streams = [programs.random_events(rng, program.input.shape, 20)]
    settings = replace(programs.random_settings(rng), overflow=CUTS_LAST, mirror_frame="not at all")
    assert_twin_equals_reference(program, streams, settings)


@pytest.mark.parametrize(
    ("threshold", "start", "spikes", "potential"),
    [
        # 32700 + 127 = 32827 fires and leaves 60; with 127 more it is 187
        (32767, 32700, 1, 187),
        # 32767 + 127 - 100 = 32794 does not fit into 16 bits and becomes 32767, twice
        (100, 32767, 2, 32767),
    ],
)
def test_a_threshold_may_be_compared_before_a_sum_is_cut(threshold, start, spikes, potential):
    state = np.full((1, 1, 1), start)
    weights = np.full((1, 1, 1, 1), 127)
    core = Core("edge", weights, threshold, -32768, (1, 1, 1), initial_state=state)
    with Twin(settings=TwinSettings(overflow=CUTS_LAST)) as twin:
        twin.load(Program((core,), InputStage((1, 1, 1)), chip="unbounded"))
        zeros = np.zeros(2, np.int64)
        recording = twin.play(make_events(np.arange(2), zeros, zeros, zeros))
        assert recording.counts(0).sum() == spikes
        assert twin.read_neurons(0).item() == potential


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_do_not_change_spikes(rng, threads):
    program = programs.random_chain(rng, 3)
    streams = [programs.random_events(rng, program.input.shape, 50) for _ in range(7)]
    with Twin(threads=threads) as twin:
        twin.load(program)
        together = twin.play(streams)
        last = twin.read_neurons(0)
        for sample, events in enumerate(streams):
            alone = twin.play(events)
            for layer in range(3):
                assert np.array_equal(together.counts(layer)[sample], alone.counts(layer)[0])
                assert np.array_equal(together.events(layer, sample), alone.events(layer))
        assert np.array_equal(twin.read_neurons(0), last)


def test_one_long_play_equals_many_short_ones(rng):
    program = programs.random_chain(rng, 3)
    events = programs.random_events(rng, program.input.shape, 20_000)
    with Twin() as twin:
        twin.load(program)
        whole = twin.play(events)
        twin.reset()
        parts = twin.play([events[:7], events[7:9000], events[9000:]], reset=False)
    for layer in range(3):
        assert np.array_equal(whole.counts(layer)[0], parts.counts(layer).sum(axis=0))
        joined = np.concatenate([parts.events(layer, sample) for sample in range(3)])
        assert np.array_equal(whole.events(layer), joined)


def test_a_stream_in_blocks_has_the_counts_of_the_whole(rng):
    program = programs.random_chain(rng, 2)
    events = programs.random_events(rng, program.input.shape, 20_000)
    with Twin(settings=TwinSettings(slow_clock_period=7)) as twin:
        twin.load(program)
        whole = twin.play(events, keep_events=False)
        twin.reset()
        stream = twin.play_stream(iter([events[:10], events[10:10], events[10:15_000]]))
        assert stream.samples[0].accepted == 15_000
        twin.reset()
        stream = twin.play_stream(np.array_split(events, 7))
    for layer in range(2):
        assert np.array_equal(stream.counts(layer), whole.counts(layer))


def test_queues_at_a_merge_stay_short_even_if_many_neurons_fire(monkeypatch):
    """The third layer fires 14 400 times for each event."""

    def core(name, n_in, *targets):
        destinations = tuple(map(Destination, targets))
        weights = np.full((24, n_in, 1, 1), 127)
        return Core(name, weights, 1, -1, (n_in, 1, 1), destinations=destinations)

    cores = (core("a", 1, 1, 2), core("b", 24, 2), core("c", 24, 3), core("d", 24))
    program = Program(cores, InputStage((1, 1, 1)), chip="unbounded")
    events = make_events(np.arange(100), *np.zeros((3, 100), int))
    peaks, counts = [], []
    for limit in (2**40, 2**14):
        monkeypatch.setattr("speckflex.twin._whole_queues.SPIKES_PER_QUEUE", limit)
        with Twin(threads=1) as twin:
            twin.load(program)
            tracemalloc.start()
            recording = twin.play(events, keep_events=False)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        counts.append([int(layer.counts.sum()) for layer in recording.layers])
    assert counts == [[100 * n for n in (24, 576, 14_400, 345_600)]] * 2
    assert peaks[1] < peaks[0] / 5


def test_events_out_of_order_do_not_repeat_a_tick(rng):
    core = Core("leaky", np.full((1, 1, 1, 1), 1), 100, -100, (1, 1, 1), bias=np.array([5]))
    program = Program((core,), InputStage((1, 1, 1)))
    times = np.concatenate([np.full(10_000, 95), np.full(10_000, 12)])
    events = make_events(times, *np.zeros((3, 20_000), int))
    settings = TwinSettings(slow_clock_period=10)
    assert_twin_equals_reference(program, [events], settings)


def test_kernels_agree_with_the_reference_without_compilation():
    command = [sys.executable, "tests/support/fuzz_twin.py", "--programs", "25"]
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(  # noqa: S603 - our own script
        command, cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "25 programs from seed 0: 0 differ" in done.stdout


def test_a_readout_sum_may_exceed_16_bits():
    """A neuron that overflows fires and subtracts its threshold; its spikes are added again."""
    weights = np.full((1, 1, 1, 1), 127, np.int8)
    core = Core("sum", weights, 32767 - 127, -32767, (1, 1, 1), readout="potential")
    program = Program((core,), InputStage((1, 1, 1)), chip="unbounded")
    n_events = 1000
    zeros = np.zeros(n_events, int)
    with Twin() as board:
        board.load(program)
        recording = board.play(make_events(np.arange(n_events), zeros, zeros, zeros))
    assert recording.layer(-1).potentials.item() == 127 * n_events
    assert recording.counts(-1).item() == 127 * n_events // (32767 - 127)
