"""Settings, split, frames, batches and steps of a training."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from speckflex.data import EventDataset
from speckflex.errors import TrainingError
from speckflex.events.frames import to_frames
from speckflex.events.streams import make_events
from speckflex.training import FrameSet, TrainingSettings, cache_frames, split_frames
from speckflex.training._batches import draw_order, iterate_batches, n_batches
from speckflex.training._steps import Outcome, draw_timesteps, run_passes
from speckflex.training.augmentation import Augmentation
from speckflex.training.data import split_by_class


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"t_max": 0}, "t max is 0"),
        ({"samples_per_step": 0}, "samples per step is 0"),
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": 0}, "batch size is 0"),
        ({"patience": 0}, "patience is 0"),
        ({"granularity": 0}, "granularity is 0"),
        ({"learning_rate": 0.0}, "learning rate 0.0"),
        ({"learning_rate": float("nan")}, "learning rate nan"),
        ({"weight_decay": -1.0}, "weight decay is -1.0"),
        ({"clip_gradient": -1.0}, "clip gradient is -1.0: must be a number of at least 0"),
        ({"clip_gradient": float("inf")}, "clip gradient is inf"),
        ({"final_learning_rate": -1.0}, "final learning rate is -1.0"),
        ({"cosine_epochs": 3}, "cosine epochs is 3: must be a number of at least 25"),
        ({"input_frames": "any"}, "input frames 'any' is not known: choose one of sum, trim"),
        ({"augment": "rotate:3"}, "augmentation 'rotate:3' is not known: choose among shift:N"),
        ({"augment": "flip"}, "augmentation 'flip' is not known"),
        ({"augment": "shift"}, "augmentation 'shift': 'nothing' is no number of pixels"),
        ({"augment": "roll:-1"}, "augmentation 'roll:-1': '-1' is no number of pixels"),
        ({"augment": "shift:1,shift:2"}, "augmentation 'shift:2': shift comes twice"),
        ({"seed": -1}, "seed is -1"),
        ({"validation_share": 0.0}, "validation share 0.0"),
        ({"validation_share": 0.9}, "validation share 0.9"),
        ({"method": "bptt"}, "method 'bptt' is not known: choose one of sdt, nmt, mtt"),
        ({"optimiser": "adam"}, "optimiser 'adam' is not known"),
        ({"sampler": "any"}, "sampler 'any' is not known"),
        ({"keep": "first"}, "keep 'first' is not known"),
        ({"keep": "last", "patience": 3}, "patience 3 with keep 'last'"),
        ({"upsampling": "any"}, "upsampling 'any' is not known"),
        ({"method": "board", "output": "mean"}, "output mean with method board"),
        ({"method": "board", "upsampling": "copy"}, "upsampling copy with method board"),
        ({"method": "board", "sampler": "fixed"}, "sampler fixed with method board"),
        ({"method": "board", "granularity": 2}, "granularity 2 with method board"),
    ],
)
def test_a_setting_out_of_range_is_refused_in_one_line(choice, message):
    with pytest.raises(TrainingError, match=message) as caught:
        TrainingSettings(**choice)
    assert "\n" not in str(caught.value)


@given(
    sizes=st.lists(st.integers(2, 30), min_size=2, max_size=5),
    share=st.floats(0.01, 0.5),
    seed=st.integers(0, 99),
)
def test_a_split_takes_the_share_of_every_class_and_each_recording_once(sizes, share, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    split = split_by_class(labels, share, seed=seed)
    both = np.concatenate([split.training, split.validation])
    assert sorted(both) == list(range(len(labels)))
    for label, size in enumerate(sizes):
        held_out = int((labels[split.validation] == label).sum())
        assert held_out == min(max(round(size * share), 1), size - 1)


def test_a_split_depends_on_its_seed_alone():
    labels = np.repeat([0, 1], 50)
    first, again, other = (split_by_class(labels, 0.2, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(first.validation, again.validation)
    assert not np.array_equal(first.validation, other.validation)


@pytest.mark.parametrize("share", [0.1, 0.2, 0.35, 0.5])
def test_a_split_holds_out_as_many_of_each_class_as_scikit_learn(share, rng):
    """Both round the share of a class; scikit-learn may move one to keep the total."""
    sizes = [40, 20, 60, 13, 27]
    labels = rng.permutation(np.repeat(np.arange(5), sizes))
    ours = np.bincount(labels[split_by_class(labels, share, seed=0).validation])
    _, chosen = train_test_split(labels, test_size=share, stratify=labels, random_state=0)
    assert np.abs(ours - np.bincount(chosen)).max() <= 1
    whole = np.repeat([0, 1, 2], [20, 40, 60])  # the shares are whole numbers: nothing to round
    ours = np.bincount(whole[split_by_class(whole, share, seed=0).validation])
    _, chosen = train_test_split(whole, test_size=share, stratify=whole, random_state=0)
    assert ours.tolist() == np.bincount(chosen).tolist()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "holds no recording"),
        ([4, 4, 4], "all 3 recordings are of class 4"),
        ([0, 0, 1], "class 1 has one recording"),
    ],
)
def test_labels_that_cannot_be_split_are_refused(labels, message):
    with pytest.raises(TrainingError, match=message):
        split_by_class(np.array(labels, np.int64), 0.5, seed=0)


def _dataset(recordings, labels, shape=(2, 5, 4)):
    return EventDataset(
        name="made up",
        shape=shape,
        classes=("zero", "one"),
        labels=np.array(labels, np.int64),
        synthetic=True,
        items=tuple(range(len(recordings))),
        read=lambda item: recordings[item],
    )


def _random_recording(rng, n_events, shape=(2, 5, 4)):
    times = np.sort(rng.integers(0, 1000, n_events))
    channel, y, x = (rng.integers(0, size, n_events) for size in shape)
    return make_events(times, x, y, channel)


def test_cached_frames_are_the_frames_of_each_recording(rng):
    recordings = [_random_recording(rng, n) for n in (40, 7, 0)]
    cached = cache_frames(_dataset(recordings, [0, 1, 1]), 6)
    assert cached.frames.dtype == torch.uint8
    assert cached.labels.tolist() == [0, 1, 1]
    for recording, frames in zip(recordings, cached.frames, strict=True):
        assert np.array_equal(frames.numpy(), to_frames(recording, (2, 5, 4), 6))


def test_counts_beyond_a_byte_get_wider_frames_without_losing_any(rng):
    zeros = np.zeros(300, np.int64)
    recordings = [_random_recording(rng, 20), make_events(zeros, zeros, zeros, zeros)]
    cached = cache_frames(_dataset(recordings, [0, 1]), 2)
    assert cached.frames.dtype == torch.int16
    assert cached.frames[1].sum() == 300
    assert cached.frames[0].sum() == 20


def test_recordings_that_cannot_train_are_refused(rng):
    recording = _random_recording(rng, 5)
    with pytest.raises(TrainingError, match="holds no recording"):
        cache_frames(_dataset([], []), 4)
    with pytest.raises(TrainingError, match="T is 0"):
        cache_frames(_dataset([recording], [0]), 0)
    with pytest.raises(TrainingError, match="recording 1 has no class"):
        cache_frames(_dataset([recording, recording], [0, -1]), 4)


def test_split_frames_holds_out_the_share_of_the_settings(rng):
    labels = torch.arange(40) % 2
    frames = FrameSet(torch.arange(40).reshape(40, 1, 1, 1, 1), labels)
    data = split_frames(frames, TrainingSettings(validation_share=0.25))
    assert (len(data.training), len(data.validation)) == (30, 10)
    seen = torch.cat([data.training.frames, data.validation.frames]).flatten()
    assert sorted(seen.tolist()) == list(range(40))


@given(
    n_recordings=st.integers(1, 40),
    batch_size=st.integers(1, 9),
    n_processes=st.integers(1, 4),
    seed=st.integers(0, 9),
)
def test_each_recording_counts_in_exactly_one_process(n_recordings, batch_size, n_processes, seed):
    labels = torch.arange(n_recordings)
    recordings = FrameSet(labels.reshape(-1, 1, 1, 1, 1), labels)
    order = draw_order(n_recordings, Augmentation(), np.random.default_rng(seed))
    parts = [
        list(iterate_batches(recordings, order, batch_size, rank=rank, n_processes=n_processes))
        for rank in range(n_processes)
    ]
    assert {len(part) for part in parts} == {n_batches(n_recordings, batch_size, n_processes)}
    seen: list[int] = []
    for together in zip(*parts, strict=True):
        counted = [batch.labels[batch.weights > 0] for batch in together]
        assert {batch.total for batch in together} == {sum(len(part) for part in counted)}
        seen += torch.cat(counted).tolist()
    assert sorted(seen) == list(range(n_recordings))


def test_shifted_frames_move_and_lose_what_leaves_the_image(rng):
    frames = torch.from_numpy(rng.integers(0, 9, (6, 2, 1, 5, 7)).astype(np.uint8))
    recordings = FrameSet(frames, torch.arange(6))
    order = draw_order(6, Augmentation(shift=3), rng)
    (batch,) = iterate_batches(recordings, order, 6)
    for place, moved in zip(order.positions, batch.frames, strict=True):
        dy, dx = order.changes.shifts[place]
        expected = np.zeros((2, 1, 5, 7))
        for y in range(5):
            for x in range(7):
                if 0 <= y + dy < 5 and 0 <= x + dx < 7:
                    expected[..., y + dy, x + dx] = frames[place, ..., y, x].numpy()
        assert np.array_equal(moved.numpy(), expected)


def test_by_default_the_first_stage_is_drawn_like_all_others():
    """As in the published classes, where only the input keeps the recording's frames."""
    steps = [
        draw_timesteps(TrainingSettings(method="mtt"), 4, torch.Generator().manual_seed(seed))
        for seed in range(20)
    ]
    first = {timesteps[0] for step in steps for timesteps in step}
    assert first == set(range(1, 11))


@pytest.mark.parametrize(
    ("choice", "n_passes", "allowed"),
    [
        ({"method": "sdt"}, 1, lambda t: t == (8, 8, 8)),
        ({"method": "nmt"}, 3, lambda t: len(set(t)) == 1),
        ({"method": "mtt"}, 3, lambda t: len(t) == 3),
        ({"method": "law"}, 1, lambda t: t == (8, 8, 8)),
        ({"method": "law", "sampler": "uniform"}, 3, lambda t: len(t) == 3),
        ({"method": "nmt", "sampler": "fixed"}, 3, lambda t: len(set(t)) == 1),
        ({"method": "mtt", "sampler": "fixed-first"}, 3, lambda t: t[0] == 8),
        ({"method": "mtt", "sampler": "non-increasing"}, 3, lambda t: 8 == t[0] >= t[1] >= t[2]),
    ],
)
def test_the_method_says_at_which_time_steps_the_passes_of_a_step_run(choice, n_passes, allowed):
    settings = TrainingSettings(t_max=8, samples_per_step=3, **choice)
    generator = torch.Generator().manual_seed(1)
    steps = [draw_timesteps(settings, 3, generator) for _ in range(50)]
    assert {len(step) for step in steps} == {n_passes}
    drawn = {timesteps for step in steps for timesteps in step}
    assert all(allowed(timesteps) and max(timesteps) <= 8 for timesteps in drawn)
    assert (len(drawn) == 1) == (n_passes == 1)


def test_a_step_adds_up_its_passes_and_exchanges_gradients_in_the_last():
    ran = []

    def run(timesteps, is_last):
        ran.append((timesteps, is_last))
        return Outcome(float(sum(timesteps)), 1.0)

    outcome = run_passes(run, [(8, 4), (8, 5), (8, 6)])
    assert ran == [((8, 4), False), ((8, 5), False), ((8, 6), True)]
    assert outcome == Outcome((12 + 13 + 14) / 3, 1.0)
