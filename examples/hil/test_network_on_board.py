"""A user's hardware-in-the-loop tests of one network, on any board.

    pytest examples/hil                                  # software twin
    pytest examples/hil --board virtual:speck2e          # the chip's path, without a chip
    pytest examples/hil --board speck2e:0 --junitxml=hil.xml --board-metrics=hil.jsonl

The fixtures `board`, `play` and `board_metrics` and the markers come from speckflex's plugin.
"""

import numpy as np
import pytest
import sinabs.layers as sl
import torch
from torch import nn

import speckflex as sf
from speckflex.events.streams import make_events
from speckflex.recordings.losses import count_repeated_spikes, estimate_losses

SHAPE = (2, 16, 16)
# The largest spike difference of two runs that this project accepts.
MAX_SPIKE_DIFFERENCE = 0.05
# The largest share of spikes that two plays may show as lost or doubled.
MAX_LOSS = 0.001


def neuron() -> nn.Module:
    return sl.IAFSqueeze(batch_size=1, spike_threshold=1.0, min_v_mem=-1.0)


@pytest.fixture(scope="session")
def program() -> sf.Program:
    """The network under test; a real project would load its own `.speck` file."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(2, 8, 3, stride=2, padding=1, bias=False),
        neuron(),
        sl.SumPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1, bias=False),
        neuron(),
        nn.Flatten(),
        nn.Linear(128, 4, bias=False),
        neuron(),
    )
    with torch.no_grad():
        for layer in (network[0], network[3], network[6]):
            layer.weight *= 2
    # cores 0 and 1 compute in parallel, and their results differ from play to play
    return sf.convert(network, input_shape=SHAPE, cores={0: 2, 1: 3, 2: 4})


@pytest.fixture(scope="session")
def samples() -> list[np.ndarray]:
    """Three recordings of a bar that sweeps over the sensor, in three directions."""
    rng = np.random.default_rng(0)
    recordings = []
    for slope in (0.0, 0.5, 1.0):
        times = np.arange(1, 1501) * 40
        y = rng.integers(0, SHAPE[1], times.size)
        x = (times / times[-1] * SHAPE[2] + slope * y).astype(int) % SHAPE[2]
        recordings.append(make_events(times, x, y, rng.integers(0, 2, times.size)))
    return recordings


def test_the_board_spikes_as_the_twin(play, program, samples, board_metrics):
    recording = play(program, samples)
    with sf.open_board("twin") as twin:
        twin.load(program)
        expected = twin.play(samples)
    difference = board_metrics.record_difference(recording, expected)
    assert difference is not None
    assert difference <= MAX_SPIKE_DIFFERENCE


def test_no_loss_is_known_and_two_plays_show_no_other(play, program, samples, board_metrics):
    """No counter of a chip tells of all losses: spikes that vanish show in a second play."""
    first, second = play(program, samples), play(program, samples)
    for recording in (first, second):
        assert recording.lost_events == 0
        assert {log.stopped for log in recording.samples} <= {"complete", "silence"}
    estimate = estimate_losses(first, second)
    assert estimate is not None, "nothing spikes, so nothing is proved"
    board_metrics.record(estimated_loss=estimate.share)
    assert estimate.share <= MAX_LOSS


def test_no_spike_is_sent_twice(play, program, samples):
    with sf.open_board("twin") as twin:
        twin.load(program)
        expected = count_repeated_spikes(twin.play(samples))
    assert count_repeated_spikes(play(program, samples)) == expected


def test_the_board_repeats_itself(board, program, samples, board_metrics):
    board.load(program)
    difference = board_metrics.record_difference(board.play(samples), board.play(samples))
    assert difference == 0


@pytest.mark.needs_chip("only silicon has a latency of its own")
def test_spikes_come_soon_after_their_events(play, program, samples, board_metrics):
    recording = play(program, samples[0], monitor=[0])
    last_input, last_output = samples[0]["t"].max(), recording.events(0)["t"].max()
    board_metrics.record(last_spike_after_last_event_us=int(last_output - last_input))
    assert last_output - last_input < 10_000
