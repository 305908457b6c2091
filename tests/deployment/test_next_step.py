"""What a network loses in training, by 8 bits and by events."""

import numpy as np
import pytest
from networks_of_tests import small_network

import speckflex as sf
from speckflex.data import open_dataset
from speckflex.deployment.eight_bit import EightBitSteps
from speckflex.deployment.next_step import Losses, measure_losses
from speckflex.errors import EventsError
from speckflex.training import cache_frames, evaluate
from speckflex.training.mixed.stages import MixedTimestepNetwork


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return open_dataset("synthetic-digits", limit=30, cache=tmp_path_factory.mktemp("cache"))


def test_each_step_has_the_accuracy_that_it_has_alone(dataset):
    network = small_network()
    losses = measure_losses(network, dataset, 3)
    mixed = MixedTimestepNetwork(network)
    assert losses.in_torch == pytest.approx(evaluate(mixed, cache_frames(dataset, 3)).accuracy)
    program = sf.convert(network, input_shape=dataset.shape)
    events = [stream for stream, _ in dataset]
    stepped = EightBitSteps(program, network, bins=3).play(events).answers()
    assert losses.in_eight_bits == np.mean(stepped == dataset.labels)
    with sf.open_board("twin") as board:
        board.load(program)
        played = board.play(events)
    assert losses.on_twin == np.mean(played.answers() == dataset.labels)
    assert losses.silent_on_twin == np.sum(played.counts(layer=-1).sum(axis=(1, 2, 3)) == 0)
    assert (losses.recordings, losses.timesteps) == (30, 3)


@pytest.mark.parametrize(
    ("shares", "largest"),
    [
        ((0.95, 0.94, 0.80), "events"),
        ((0.95, 0.80, 0.79), "8 bits"),
        ((0.70, 0.69, 0.65), "training"),
        ((0.80, 0.78, 0.80), "training"),  # the chip's side loses nothing
        ((0.80, 0.95, 0.97), "training"),
        ((0.99, 0.98, 1.00), None),
    ],
)
def test_the_largest_loss_is_named(shares, largest):
    losses = Losses(100, 10, *shares)
    assert losses.largest == largest
    assert sum(losses.by_step.values()) == pytest.approx(1 - shares[2])


def test_no_recording_is_refused(dataset):
    with pytest.raises(EventsError, match="holds no recording"):
        measure_losses(small_network(), dataset[:0], 3)
