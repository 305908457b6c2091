"""Augmentation of frames and of events, against loops over pixels and against each other."""

import sys

import numpy as np
import pytest
import torch

from speckflex.data import EventDataset
from speckflex.data.formats.dvs_gesture import CLASSES
from speckflex.errors import MissingExtraError, TrainingError
from speckflex.events.frames import to_frames
from speckflex.events.streams import make_events
from speckflex.training import FrameSet
from speckflex.training._auto_augment import apply_policies
from speckflex.training._batches import draw_order, iterate_batches
from speckflex.training.augmentation import Augmentation

SHAPE = (2, 5, 7)
EVERYTHING = "shift:2,roll:3,flip:lr,flip:ud,invert-time,warp:2,cutout:3"


def random_frames(rng, n=40):
    return torch.from_numpy(rng.integers(0, 9, (n, 4, *SHAPE)).astype(np.uint8))


def test_a_list_of_names_is_parsed():
    parsed = Augmentation.parse(" roll:20 ,flip:lr,invert-time")
    assert parsed == Augmentation(roll=20, flip_lr=True, invert_time=True)
    assert Augmentation.parse("") == Augmentation()


def test_a_roll_conserves_the_sum_of_every_frame(rng):
    frames = random_frames(rng)
    changes = Augmentation.parse("roll:3").draw(len(frames), rng)
    rolled = changes.of_frames(frames)
    assert torch.equal(rolled.sum((-2, -1)), frames.sum((-2, -1)))
    for before, after, (dy, dx) in zip(frames, rolled, changes.rolls, strict=True):
        for y in range(SHAPE[1]):
            for x in range(SHAPE[2]):
                moved = after[..., (y + dy) % SHAPE[1], (x + dx) % SHAPE[2]]
                assert torch.equal(moved, before[..., y, x])
    assert set(np.unique(changes.rolls)) == set(range(-3, 4))


@pytest.mark.parametrize(
    ("name", "axes"), [("flip:lr", (-1,)), ("flip:ud", (-2,)), ("invert-time", (1, 2))]
)
def test_half_of_the_recordings_are_mirrored_or_reversed(name, axes, rng):
    frames = random_frames(rng, 200)
    changed = Augmentation.parse(name).draw(200, rng).of_frames(frames)
    whole, turned = frames.numpy(), np.flip(frames.numpy(), axes)
    same = (changed.numpy() == whole).all((1, 2, 3, 4))
    other = (changed.numpy() == turned).all((1, 2, 3, 4))
    assert (same ^ other).all()
    assert 70 < other.sum() < 130


def test_one_channel_is_reversed_in_time_alone(rng):
    frames = random_frames(rng)[:, :, :1]
    changes = Augmentation(invert_time=True).draw(len(frames), rng)
    changed = changes.of_frames(frames)
    where = int(np.flatnonzero(changes.inverted)[0])
    assert torch.equal(changed[where], frames[where].flip(0))


def test_events_are_changed_as_their_frames_are(rng):
    """Times lie in the middle of frames, so that a reversal moves each into one frame."""
    streams = [
        make_events(
            np.r_[0, np.sort(rng.integers(0, 8, 28)) * 100 + 50, 800],
            rng.integers(0, 7, 30),
            rng.integers(0, 5, 30),
            rng.integers(0, 2, 30),
        )
        for _ in range(30)
    ]
    changes = Augmentation.parse("roll:3,flip:lr,flip:ud,invert-time").draw(30, rng)
    frames = torch.from_numpy(np.stack([to_frames(events, SHAPE, 8) for events in streams]))
    expected = changes.of_frames(frames).numpy()
    for index, events in enumerate(streams):
        changed = changes.of_events(events, SHAPE, index)
        assert np.array_equal(to_frames(changed, SHAPE, 8), expected[index])
        assert (np.diff(changed["t"]) >= 0).all()


def test_events_that_leave_the_image_are_lost_before_the_rest_is_rolled(rng):
    events = make_events([0, 1, 2], [0, 3, 6], [0, 2, 4], [0, 1, 0])
    for index in range(20):
        changes = Augmentation.parse("shift:2,roll:2").draw(20, rng)
        dy, dx = changes.shifts[index]
        ry, rx = changes.rolls[index]
        expected = [
            (t, (x + dx + rx) % 7, (y + dy + ry) % 5, p)
            for t, x, y, p in events.tolist()
            if 0 <= x + dx < 7 and 0 <= y + dy < 5
        ]
        assert changes.of_events(events, SHAPE, index).tolist() == expected


def test_a_mirrored_gesture_changes_hands(rng):
    """Class 1 is a wave of the right hand, class 2 of the left; 8 stays what it is."""
    labels = np.tile([1, 8], 30)
    dataset = EventDataset("made up", SHAPE, CLASSES, labels, True, tuple(range(60)), print)
    frames = FrameSet(random_frames(rng, 60), torch.from_numpy(labels), dataset)
    order = draw_order(60, Augmentation(flip_lr=True), rng)
    (batch,) = iterate_batches(frames, order, 60)
    mirrored = batch.changes.flips[:, 1]
    before = labels[batch.positions]
    assert batch.labels.tolist() == np.where(mirrored & (before == 1), 2, before).tolist()
    assert set(batch.labels.tolist()) == {1, 2, 8}
    plain = FrameSet(frames.frames, frames.labels)
    (batch,) = iterate_batches(plain, order, 60)
    assert batch.labels.tolist() == before.tolist()


def test_the_same_seed_draws_the_same_changes():
    one, other = (Augmentation.parse(EVERYTHING).draw(9, np.random.default_rng(4)) for _ in "ab")
    for name in ("shifts", "rolls", "flips", "inverted", "warps", "cutouts"):
        assert np.array_equal(getattr(one, name), getattr(other, name))


def test_a_warp_takes_each_pixel_from_where_the_grid_points(rng):
    """Loops over pixels; the move of a pixel is linear between the four points around it."""
    frames = random_frames(rng, 5)
    changes = Augmentation.parse("warp:3").draw(5, rng)
    warped = changes.of_frames(frames)
    for before, after, warp in zip(frames, warped, changes.warps, strict=True):
        for y in range(5):
            for x in range(7):
                row, column = y * 3 / 4, x * 3 / 6
                top, left = min(int(row), 2), min(int(column), 2)
                down, right = row - top, column - left
                corners = warp[:, top : top + 2, left : left + 2]
                upper = corners[:, 0, 0] * (1 - right) + corners[:, 0, 1] * right
                lower = corners[:, 1, 0] * (1 - right) + corners[:, 1, 1] * right
                dy, dx = np.rint(upper * (1 - down) + lower * down).astype(int)
                inside = 0 <= y + dy < 5 and 0 <= x + dx < 7
                expected = before[..., y + dy, x + dx] if inside else torch.zeros(4, 2)
                assert torch.equal(after[..., y, x], expected.to(after.dtype))
    assert abs(changes.warps).max() > 2


def test_events_are_warped_as_their_frames_are(rng):
    frames = random_frames(rng, 5)
    changes = Augmentation.parse("shift:1,warp:2").draw(5, rng)
    for index, expected in enumerate(changes.of_frames(frames).numpy()):
        t, p, y, x = np.nonzero(frames[index].numpy())
        times = frames[index].numpy()[t, p, y, x]
        events = make_events(*(np.repeat(column, times) for column in (t, x, y, p)))
        changed = changes.of_events(events, SHAPE, index)
        counts = np.zeros((4, *SHAPE), int)
        np.add.at(counts, (changed["t"], changed["p"], changed["y"], changed["x"]), 1)
        assert np.array_equal(counts, expected)
        assert (np.diff(changed["t"]) >= 0).all()


def test_a_cutout_empties_one_square_of_every_frame():
    frames = torch.ones(40, 2, 2, 9, 12, dtype=torch.uint8)
    changes = Augmentation.parse("cutout:4").draw(40, np.random.default_rng(3))
    for index, frame in enumerate(changes.of_frames(frames)):
        y, x = changes.cutouts[index] * (9, 12)
        by_hand = [
            [not (abs(row + 0.5 - y) < 2 and abs(column + 0.5 - x) < 2) for column in range(12)]
            for row in range(9)
        ]
        assert (frame == torch.tensor(by_hand)).all()
        assert frame.dtype == torch.uint8
    inside = (changes.of_frames(frames) == 0).sum(dim=(-2, -1)).unique().tolist()
    assert max(inside) == 16  # a whole square; at an edge less of it is in the image
    assert min(inside) < 16


def test_without_a_cutout_the_draws_are_those_of_earlier_versions():
    with_it, without = (
        Augmentation.parse(text).draw(9, np.random.default_rng(4))
        for text in ("shift:2,warp:2,cutout:3", "shift:2,warp:2")
    )
    assert np.array_equal(with_it.warps, without.warps)
    assert without.cutouts.shape == (9, 0)


def test_a_crop_cuts_images_with_a_margin_of_zeros(rng):
    images = rng.integers(1, 256, (30, 1, 3, 9, 8)).astype(np.uint8)
    changes = Augmentation.parse("crop:4").draw(30, rng)
    cropped = changes.of_frames(torch.from_numpy(images)).numpy()
    for before, after, (dy, dx) in zip(images, cropped, changes.shifts, strict=True):
        wide = np.pad(before, ((0, 0), (0, 0), (4, 4), (4, 4)))
        top, left = 4 - dy, 4 - dx
        assert np.array_equal(after, wide[..., top : top + 9, left : left + 8])
    assert set(np.unique(changes.shifts)) == set(range(-4, 5))


def test_autoaugment_without_torchvision_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    words = r"^augmentation autoaugment needs torchvision, .*: pip install 'speckflex\[vision\]'$"
    with pytest.raises(MissingExtraError, match=words):
        Augmentation.parse("crop:4,autoaugment")


def test_a_torchvision_of_another_torch_is_one_line(monkeypatch, tmp_path):
    (tmp_path / "torchvision").mkdir()
    failing = "raise RuntimeError('operator torchvision::nms does not exist\\nmore')"
    (tmp_path / "torchvision" / "__init__.py").write_text(failing, encoding="utf-8")
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    images = torch.zeros(1, 1, 3, 4, 4, dtype=torch.uint8)
    with pytest.raises(MissingExtraError, match=r"does not load beside torch .*nms does") as caught:
        apply_policies(images, np.zeros((1, 5)))
    assert "\n" not in str(caught.value)


def test_autoaugment_is_for_images_alone(rng):
    changes = Augmentation(autoaugment=True).draw(2, rng)
    with pytest.raises(TrainingError, match=r"\(4, 2, 5, 7\) .* are no images of three colours"):
        changes.of_frames(random_frames(rng, 2))
    with pytest.raises(TrainingError, match="events have no colours"):
        changes.of_events(make_events(*np.zeros((4, 1), np.int64)), SHAPE, 0)


def test_each_image_gets_the_policy_that_is_drawn_for_it(rng):
    """Policies 0, 1 and 7 of CIFAR-10 in torchvision's list, at chances that leave one change."""
    pytest.importorskip("torchvision", reason="extra vision", exc_type=(ImportError, RuntimeError))
    images = rng.integers(0, 256, (4, 1, 3, 32, 32)).astype(np.uint8)
    draws = [
        (0.5 / 25, 0.05, 0.9, 0.0, 0.0),  # inverted; the contrast stays
        (1.5 / 25, 0.9, 0.2, 0.0, 0.7),  # not rotated; moved by 150 / 331 of the width
        (1.5 / 25, 0.9, 0.2, 0.0, 0.2),  # the same to the other side
        (7.5 / 25, 0.9, 0.9, 0.5, 0.5),  # nothing
    ]
    changed = apply_policies(torch.from_numpy(images), np.array(draws)).numpy()
    moved = int(32 * 150 / 331)
    zeros = np.zeros((1, 3, 32, moved), np.uint8)
    assert np.array_equal(changed[0], 255 - images[0])
    assert np.array_equal(changed[1], np.concatenate([zeros, images[1][..., :-moved]], axis=-1))
    assert np.array_equal(changed[2], np.concatenate([images[2][..., moved:], zeros], axis=-1))
    assert np.array_equal(changed[3], images[3])
