"""Streamed frames against the same frames in memory, and what is read of them."""

import numpy as np
import pytest
import torch
from sinabs.layers import IAFSqueeze
from torch import nn

from speckflex.data import EventDataset
from speckflex.data.images import ImageDataset
from speckflex.errors import TrainingError
from speckflex.events.streams import make_events
from speckflex.training import cache_frames, fit, split_frames, stream_frames
from speckflex.training.settings import TrainingSettings
from speckflex.training.streaming import read_ahead


@pytest.fixture
def recordings(rng) -> EventDataset:
    """24 recordings of two classes, which differ in where their events lie."""
    events = [
        make_events(
            np.sort(rng.integers(0, 900, 40)),
            rng.integers(0, 3, 40) + 3 * (index % 2),
            rng.integers(0, 6, 40),
            rng.integers(0, 2, 40),
        )
        for index in range(24)
    ]
    return EventDataset(
        name="two halves",
        shape=(2, 6, 6),
        classes=("left", "right"),
        labels=np.arange(24) % 2,
        synthetic=True,
        items=tuple(range(24)),
        read=lambda index: events[index],
    )


def network() -> nn.Sequential:
    torch.manual_seed(0)
    conv = nn.Conv2d(2, 4, 3, bias=False)
    return nn.Sequential(conv, IAFSqueeze(batch_size=1), nn.Flatten(), nn.Linear(64, 2, bias=False))


def test_streamed_frames_are_those_in_memory(recordings):
    cached, streamed = cache_frames(recordings, 5), stream_frames(recordings, 5)
    assert streamed.frames.shape == cached.frames.shape
    assert torch.equal(streamed.frames[:], cached.frames)
    chosen = torch.tensor([7, 0, 7])
    assert torch.equal(streamed.frames[chosen], cached.frames[chosen])
    part = streamed.select(np.array([3, 1]))
    assert torch.equal(part.frames[:], cached.frames[torch.tensor([3, 1])])
    assert part.events is not None
    assert len(part.frames[2:]) == 0


def test_nothing_is_read_before_a_batch_needs_it(recordings):
    read = []

    def note(index: int) -> np.ndarray:
        read.append(index)
        return recordings.read(index)

    watched = EventDataset(**{**vars(recordings), "read": note})
    frames = stream_frames(watched, 2)
    assert read == []
    assert frames.frames[1:3].shape == (2, 2, 2, 6, 6)
    assert sorted(read) == [1, 2]


def test_a_training_on_streamed_frames_gives_the_same_network(recordings):
    settings = TrainingSettings(t_max=3, epochs=2, batch_size=5, augment="shift:1", method="mtt")
    weights = []
    for make in (cache_frames, stream_frames):
        data = split_frames(make(recordings, 3), settings)
        weights.append(fit(network(), data, settings).network[0].weight)
    assert torch.equal(*weights)


def test_counts_above_255_widen_their_batch(recordings):
    many = make_events(
        np.zeros(300, int), np.zeros(300, int), np.zeros(300, int), np.ones(300, int)
    )
    loud = EventDataset(**{**vars(recordings), "read": lambda _: many})
    frames = stream_frames(loud, 1).frames[:1]
    assert frames.dtype == torch.int16
    assert frames.max() == 300


def test_an_image_is_one_frame_that_every_time_step_sees(rng):
    pixels = rng.integers(0, 256, (4, 3, 8, 8)).astype(np.uint8)
    images = ImageDataset(
        name="noise",
        shape=(3, 8, 8),
        classes=("a", "b"),
        labels=np.array([0, 1, 0, 1]),
        items=tuple(range(4)),
        read=lambda index: pixels[index],
    )
    frames = stream_frames(images, 6)
    assert frames.frames.shape == (4, 1, 3, 8, 8)
    assert torch.equal(frames.frames[:][:, 0], torch.from_numpy(pixels))
    assert frames.events is None


def test_the_hash_of_streamed_data_tells_other_recordings_apart(recordings):
    settings = TrainingSettings()
    hashes = {
        split_frames(stream_frames(part, 2), settings).sha256
        for part in (recordings, recordings, recordings.subset(range(20)))
    }
    assert len(hashes) == 2


def test_recordings_without_a_class_are_refused(recordings):
    unknown = EventDataset(**{**vars(recordings), "labels": np.full(24, -1)})
    with pytest.raises(TrainingError, match="has no class"):
        stream_frames(unknown, 2)


def test_reading_ahead_keeps_the_order_and_raises_what_reading_raises():
    assert list(read_ahead(iter("abc"))) == ["a", "b", "c"]

    def broken():
        yield 1
        raise OSError("gone")

    batches = read_ahead(broken())
    assert next(batches) == 1
    with pytest.raises(OSError, match="gone"):
        next(batches)
