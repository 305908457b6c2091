"""Whether the twin and the slow reference agree, spike for spike."""

import numpy as np
import programs
import pytest
from reference import ReferenceTwin
from reference_times import EnginesReference, TimedReference

from speckflex.boards.twin import Twin

MOST_SPIKES = 50_000


def assert_twin_equals_reference(program, streams, settings, *, reset=True):
    """Compare all spikes in order, times, counts and final potentials."""
    reference = reference_of(program, settings)
    with Twin(threads=1, settings=settings) as twin:
        twin.load(program)
        recording = twin.play(streams, reset=reset)
        for sample, events in enumerate(streams):
            if reset:
                reference.reset()
            reference.spikes = [[] for _ in program.cores]
            reference.play(events)
            assert_loads_are_of(twin.loads[sample], reference)
            for layer, expected in enumerate(reference.spikes):
                assert recording.events(layer, sample).tolist() == expected
                assert_counts_are_of(recording.counts(layer)[sample], expected)
        for layer, potentials in enumerate(reference.potentials):
            values = twin.read_neurons(layer)
            assert {address: values[address] for address in potentials} == potentials


def reference_of(program, settings):
    """Return the slow twin that has the model of time of these settings."""
    if settings.engine_times is not None:
        return EnginesReference(program, settings)
    if settings.synops_per_second is not None:
        return TimedReference(program, settings)
    return ReferenceTwin(program, settings)


def assert_loads_are_of(loads, reference):
    """Compare every figure of every core's load.

    Sums of times may differ in their last bits: Python's `sum` of floats is compensated since 3.12.
    """
    assert len(loads) in (0, len(reference.program.cores))
    for index, load in enumerate(loads):
        found = {name: value for name, value in vars(load).items() if name != "name"}
        assert found == pytest.approx(reference.load(index), rel=1e-12, abs=0)


def assert_counts_are_of(counts, spikes):
    """Compare (channel, y, x) counts with a list of spikes (t, x, y, channel)."""
    expected = np.zeros_like(counts)
    for _, x, y, channel in spikes:
        expected[channel, y, x] += 1
    assert np.array_equal(counts, expected)


def shortened(program, streams, settings):
    """Return the streams, cut until the slow twin gets through them in seconds."""
    with Twin(threads=1, settings=settings) as twin:
        twin.load(program)
        while True:
            recording = twin.play(streams, keep_events=False)
            if sum(layer.counts.sum() for layer in recording.layers) < MOST_SPIKES:
                return streams
            streams = [events[: len(events) // 2] for events in streams]


def check_seed(seed):
    """Compare twin and reference on the program and streams that a seed stands for."""
    rng = np.random.default_rng(seed)
    if rng.random() < 0.5:
        program = programs.random_chain(rng, int(rng.integers(1, 5)))
    else:
        program = programs.random_graph(rng, int(rng.integers(2, 6)))
    if rng.random() < 0.4:
        program = programs.with_leaks_and_decimators(rng, program)
    streams = [
        programs.random_events(rng, program.input.shape, int(rng.integers(0, 25)))
        for _ in range(int(rng.integers(1, 4)))
    ]
    settings = programs.random_settings(rng)
    if settings.has_slow_clock:
        program = programs.with_filter(rng, program)
    model_of_time = rng.random()
    if model_of_time < 0.4:
        program, settings = programs.with_rate(rng, program, settings)
    elif model_of_time < 0.6:
        program, settings = programs.with_engines(rng, program, settings)
    elif model_of_time < 0.75:
        program, settings = programs.on_parallel_cores(rng, program, settings)
    streams = shortened(program, streams, settings)
    reset, tight = bool(rng.random() < 0.7), bool(rng.random() < 0.5)
    with pytest.MonkeyPatch.context() as patch:
        for module in ("queue_runner", "_flow", "service") if tight else ():
            # room for the spikes of one event, or of one spike in the log of a service
            patch.setattr(f"speckflex.twin.{module}.SPIKES_PER_CALL", 1)
        if tight:
            patch.setattr("speckflex.twin._whole_queues.SPIKES_PER_QUEUE", 1)
        assert_twin_equals_reference(program, streams, settings, reset=reset)
