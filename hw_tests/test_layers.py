"""Whole layers: the board counts the same spikes as the twin, neuron by neuron."""

import numpy as np
import pytest

from speckflex.program.program import Program
from speckflex.program.records import Core, Destination, InputStage

LAYERS = {
    "one convolution": [{}],
    "a kernel of 1": [{"kernel": 1}],
    "a kernel of 5": [{"kernel": 5}],
    "padding": [{"padding": (1, 2)}],
    "stride": [{"stride": (2, 2)}],
    "stride and padding, uneven": [{"stride": (2, 1), "padding": (0, 1)}],
    "pooling by 2": [{"padding": (1, 1), "pooling": 2}, {}],
    "pooling by 4": [{"padding": (1, 1), "pooling": 4}, {}],
    "pooling that leaves an edge": [{"pooling": 4, "kernel": 4}, {"kernel": 2}],
    "dense": [{"stride": (2, 2), "padding": (1, 1), "out": 8}, {"kernel": 6, "out": 10}],
    "reset to zero": [{"return_to_zero": True}, {}],
    "five layers": [{"padding": (1, 1)}] * 5,
}
STAGES = {
    "pooling": {"pooling": (2, 2)},
    "a region": {"origin": (2, 3), "size": (8, 8)},
    "one polarity": {"keep_off": False},
    "merged polarities": {"merge_polarities": True},
    "mirrored": {"mirror_y": True, "mirror_x": True},
    "x and y exchanged": {"swap_xy": True},
    "all at once": {
        "pooling": (2, 1),
        "origin": (1, 2),
        "size": (5, 9),
        "mirror_x": True,
        "swap_xy": True,
        "merge_polarities": True,
    },
}


def compare_with_twin(play, on_twin, board_metrics, program, events):
    """Assert equal spike counts in every layer; times come from the FPGA and may differ."""
    recording, expected = play(program, events), on_twin(program, events)
    board_metrics.record_difference(recording, expected)
    for layer in range(len(program.cores)):
        assert expected.counts(layer).sum() > 0
        np.testing.assert_array_equal(recording.counts(layer), expected.counts(layer))
    assert recording.lost_events == 0


@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS)
def test_a_network_spikes_like_its_twin(play, on_twin, board_metrics, chain, stream, layers):
    program = chain(*layers)
    compare_with_twin(play, on_twin, board_metrics, program, stream(program.input.shape))


@pytest.mark.parametrize("values", STAGES.values(), ids=STAGES)
def test_an_input_stage_works_like_the_twins(play, on_twin, board_metrics, chain, stream, values):
    program = chain({"threshold_high": 80}, stage=InputStage((2, 12, 12), **values))
    compare_with_twin(play, on_twin, board_metrics, program, stream((2, 12, 12)))


def test_five_input_channels_spike_like_the_twin(play, on_twin, board_metrics, chain, stream):
    program = chain({}, stage=InputStage((5, 12, 12), mirror_x=True))
    compare_with_twin(play, on_twin, board_metrics, program, stream((5, 12, 12)))


def test_branches_and_their_merge_spike_like_the_twin(play, on_twin, board_metrics, rng, stream):
    def core(name, index, shape, targets, **changes):
        values = {"threshold_high": 120, "threshold_low": -120, "padding": (1, 1)} | changes
        weights = rng.integers(-60, 80, (3, shape[0], 3, 3))
        destinations = tuple(Destination(*target) for target in targets)
        return Core(
            name, weights, input_shape=shape, chip_core=index, destinations=destinations, **values
        )

    cores = (
        core("first", 2, (2, 12, 12), [(1,), (2, 2)]),
        core("left", 3, (3, 12, 12), [(2, 2, 3)]),
        core("joined", 4, (6, 6, 6), []),
    )
    program = Program(cores, InputStage((2, 12, 12)))
    compare_with_twin(play, on_twin, board_metrics, program, stream((2, 12, 12)))
