"""The twin runs every program spike for spike like the slow reference."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speckflex.boards.settings import TwinSettings
from speckflex.boards.twin import Twin


def _sibling(name):
    """Import a helper module beside this test, whatever the working folder."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"twin_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


programs = _sibling("programs")
ReferenceTwin = _sibling("reference").ReferenceTwin

SETTINGS = st.builds(
    TwinSettings,
    output_order=st.sampled_from(["yxc", "yxc", "xyc", "cyx", "xcy"]),
    destination_order=st.sampled_from(["listed", "reversed"]),
    overflow=st.sampled_from(["saturate", "wrap"]),
    edge_spikes=st.sampled_from(["drop", "keep"]),
)
SEEDS = st.integers(0, 2**32 - 1)


def assert_twin_equals_reference(program, streams, chosen, *, reset=True):
    """Compare all spikes in order, counts and final potentials."""
    reference = ReferenceTwin(program, **chosen.named())
    with Twin(threads=1, settings=chosen) as twin:
        twin.load(program)
        recording = twin.play(streams, reset=reset)
        for sample, events in enumerate(streams):
            if reset:
                reference.reset()
            reference.spikes = [[] for _ in program.cores]
            reference.play(events)
            for layer, expected in enumerate(reference.spikes):
                assert recording.events(layer, sample).tolist() == expected
                assert recording.counts(layer)[sample].sum() == len(expected)
        for layer, potentials in enumerate(reference.potentials):
            values = twin.read_neurons(layer)
            assert {address: values[address] for address in potentials} == potentials


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, n_cores=st.integers(1, 4), chosen=SETTINGS, reset=st.booleans())
def test_chains_spike_as_the_reference(seed, n_cores, chosen, reset):
    rng = np.random.default_rng(seed)
    program = programs.random_chain(rng, n_cores)
    streams = [
        programs.random_events(rng, program.input.shape, n_events) for n_events in (25, 0, 15)
    ]
    assert_twin_equals_reference(program, streams, chosen, reset=reset)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, n_cores=st.integers(2, 5), chosen=SETTINGS)
def test_merges_and_splits_spike_as_the_depth_first_reference(seed, n_cores, chosen):
    rng = np.random.default_rng(seed)
    program = programs.random_graph(rng, n_cores)
    streams = [programs.random_events(rng, program.input.shape, 12)]
    assert_twin_equals_reference(program, streams, chosen)


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
