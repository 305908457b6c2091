"""DVS-Gesture's layout and file format, synthetic gestures, and their augmentation."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tonic.datasets import DVSGesture

from speckflex.data import (
    augment_gesture,
    mirror,
    open_dataset,
    roll,
    write_synthetic_gestures,
)
from speckflex.data.formats.dvs_gesture import CLASSES, MIRRORED, SHAPE, write_gesture_file
from speckflex.data.synthetic._arms import GESTURES, Body, pose
from speckflex.data.synthetic._gestures import open_synthetic_gestures
from speckflex.errors import EventsError
from speckflex.events.frames import to_frames
from speckflex.events.streams import EVENT_DTYPE, make_events


def random_events(rng: np.random.Generator, size: int) -> np.ndarray:
    times = np.sort(rng.integers(0, 900, size)) * 1000
    return make_events(times, *rng.integers(0, 128, (2, size)), rng.integers(0, 2, size))


@pytest.fixture(scope="module")
def one_user(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_synthetic_gestures(tmp_path_factory.mktemp("gestures"), split="test", users=1)


def test_tonic_itself_reads_what_is_written_as_it_is_read_here(
    tmp_path: Path, rng: np.random.Generator
):
    layout = tmp_path / "DVSGesture" / "ibmGestureTest"
    for user in range(24, 34):
        folder = layout / f"user{user}_fluorescent_led"
        folder.mkdir(parents=True)
        for label in range(11):
            write_gesture_file(folder / f"{label}.npy", random_events(rng, 30))
    (layout.parent / "ibmGestureTest.tar.gz").touch()  # all that tonic asks for beside 100 files
    theirs = DVSGesture(save_to=str(tmp_path), train=False)
    ours = open_dataset("dvsgesture", cache=tmp_path)
    place = {str(path): index for index, path in enumerate(ours.items)}
    assert len(theirs) == len(ours) == 110
    assert tuple(theirs.classes) == ours.classes == CLASSES
    for index, path in enumerate(theirs.data):
        expected, label = theirs[index]
        events, own_label = ours[place[str(path)]]
        assert own_label == label
        assert np.array_equal(events["t"], expected["t"] - expected["t"][0])
        assert all(np.array_equal(events[name], expected[name]) for name in "xyp")


@pytest.mark.parametrize("dtype", [np.int32, np.uint64, np.float64])
def test_arrays_of_other_numbers_are_read_too(tmp_path: Path, dtype: type):
    folder = tmp_path / "user01_lab"
    folder.mkdir()
    rows = np.array([[1, 2, 0, 70_000_000], [127, 0, 1, 70_000_003]], dtype)
    np.save(folder / "10.npy", rows)
    events, label = open_dataset(tmp_path)[0]
    assert label == 10
    assert events.dtype == EVENT_DTYPE
    assert events[["t", "x", "y", "p"]].tolist() == [(0, 1, 2, 0), (3000, 127, 0, 1)]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 5)), r"shape \(3, 5\)"),
        (np.zeros(3), r"shape \(3,\)"),
        (np.full((1, 4), "a"), "dtype <U1"),
        (np.full((1, 4), np.nan), "fractions or NaN"),
        (np.full((1, 4), 128), "event 0 has p = 128"),
        (np.array([[0, 128, 0, 0]]), "event 0 has y = 128"),
    ],
)
def test_another_array_is_refused_by_name(tmp_path: Path, array: np.ndarray, message: str):
    folder = tmp_path / "ibmGestureTrain" / "user01_lab"
    folder.mkdir(parents=True)
    np.save(folder / "3.npy", array)
    with pytest.raises(EventsError, match=message) as caught:
        open_dataset(tmp_path, split="train")[0]
    assert "3.npy" in str(caught.value)


def test_splits_are_read_by_user(tmp_path: Path, rng: np.random.Generator):
    for name in ("ibmGestureTrain/user02_lab/4", "ibmGestureTest/user24_led/0"):
        path = tmp_path / f"{name}.npy"
        path.parent.mkdir(parents=True)
        write_gesture_file(path, random_events(rng, 3))
    (tmp_path / "ibmGestureTrain" / "user02_lab" / "notes.npy").touch()
    assert open_dataset(tmp_path).labels.tolist() == [0]
    assert open_dataset(tmp_path, split="train").labels.tolist() == [4]
    assert open_dataset(tmp_path, split="all").labels.tolist() == [4, 0]
    assert open_dataset(tmp_path / "ibmGestureTrain").labels.tolist() == [4]


@pytest.mark.parametrize("name", ["nmnist", "dvsgesture"])
def test_a_public_data_set_that_is_not_there_is_not_downloaded(tmp_path: Path, name: str):
    with pytest.raises(EventsError, match=f"{name}: not found in .*: download it"):
        open_dataset(name, cache=tmp_path)
    assert not list(tmp_path.iterdir())


def test_gestures_are_synthetic_and_balanced_with_other_people_in_the_test():
    train, test = open_synthetic_gestures("train"), open_synthetic_gestures("test")
    assert train.synthetic
    assert np.bincount(train.labels).tolist() == [46] * 11
    assert np.bincount(test.labels).tolist() == [12] * 11
    assert not {take.user for take in train.items} & {take.user for take in test.items}


def test_files_hold_what_is_simulated_on_reading_in_milliseconds(one_user: Path):
    files = open_dataset(one_user)
    simulated = open_dataset("synthetic-gestures")
    assert len(files) == 22
    assert files.synthetic
    assert "synthetic" in files.name
    for index in (0, 13):
        events, label = files[index]
        expected, expected_label = simulated[index]
        assert label == expected_label
        milliseconds = expected["t"] // 1000
        assert np.array_equal(events["t"] // 1000, milliseconds - milliseconds[0])
        assert all(np.array_equal(events[name], expected[name]) for name in "xyp")


def test_recordings_are_bounded_and_differ(one_user: Path):
    recordings = [events for events, _ in open_dataset(one_user)]
    sizes = [len(events) for events in recordings]
    assert min(sizes) > 2_000
    assert max(sizes) <= 60_000
    assert len(set(sizes)) == len(sizes)
    assert all(events["t"].max() < 1_800_000 for events in recordings)


def test_a_complete_split_is_left_as_it_is(one_user: Path):
    path = next(one_user.glob("ibmGestureTest/*/3.npy"))
    before = path.stat().st_mtime_ns
    write_synthetic_gestures(one_user.parent, split="test", users=1)
    assert path.stat().st_mtime_ns == before


def test_the_side_that_waves_is_the_side_with_the_events(one_user: Path):
    dataset = open_dataset(one_user)
    for label, right_hand in ((1, True), (2, False)):
        for index in np.flatnonzero(dataset.labels == label):
            frame = to_frames(dataset[int(index)][0], SHAPE, 1)[0].sum(axis=(0, 1))
            left_half = frame[: int(np.argmax(np.cumsum(frame) >= frame.sum() / 2))].size < 64
            assert left_half == right_hand


@pytest.mark.parametrize("label", range(11))
def test_bones_keep_their_length_and_gestures_move(label: int):
    body = Body(scale=1.1)
    joints = pose(label, np.linspace(0, 6 * np.pi, 200), body, np.random.default_rng(3))
    upper = np.linalg.norm(joints.elbows - joints.shoulders, axis=-1)
    lower = np.linalg.norm(joints.hands - joints.elbows, axis=-1)
    assert np.allclose(upper, body.upper_arm * body.scale)
    assert np.allclose(lower, body.forearm * body.scale)
    assert np.ptp(joints.hands, axis=0).max() > 5


@pytest.mark.parametrize(("label", "side", "sign"), [(3, 0, 1), (4, 0, -1), (5, 1, 1), (6, 1, -1)])
def test_clockwise_is_clockwise_in_the_image(label: int, side: int, sign: int):
    """The signed area of the hand's path, y downwards, is positive for clockwise."""
    phase = np.linspace(0, 2 * np.pi, 400)
    hands = GESTURES[label](phase, 1.0, np.random.default_rng(0))
    y, x = hands[:, side].T
    area = np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) / 2
    assert np.sign(area) == sign
    assert np.ptp(hands[:, 1 - side], axis=0).max() == 0


@given(st.integers(0, 2**32 - 1), st.integers(-300, 300), st.integers(-300, 300))
def test_mirror_and_roll_are_undone_by_their_opposites(seed: int, dy: int, dx: int):
    events = random_events(np.random.default_rng(seed), 20)
    assert np.array_equal(mirror(mirror(events, SHAPE), SHAPE), events)
    there = roll(events, SHAPE, (dy, dx))
    assert np.array_equal(roll(there, SHAPE, (-dy, -dx)), events)
    frames = to_frames(events, SHAPE, 2)
    assert np.array_equal(to_frames(there, SHAPE, 2), np.roll(frames, (dy, dx), (2, 3)))
    assert np.array_equal(to_frames(mirror(events, SHAPE), SHAPE, 2), frames[..., ::-1])


def test_augmented_gestures_keep_their_class_or_take_the_mirrored_one(rng: np.random.Generator):
    events = random_events(rng, 50)
    seen = {augment_gesture(events, 3, rng)[1] for _ in range(40)}
    assert seen == {3, MIRRORED[3]} == {3, 6}
    assert augment_gesture(events, -1, rng)[1] == -1
    assert [MIRRORED[MIRRORED[label]] for label in range(11)] == list(range(11))


def test_a_roll_goes_no_further_than_asked(rng: np.random.Generator):
    centre = make_events(*np.array([[0], [64], [64], [0]]))
    moved = [augment_gesture(centre, 0, rng, max_roll=3)[0][0] for _ in range(60)]
    assert {int(event["y"]) - 64 for event in moved} == set(range(-3, 4))
    assert {int(event["x"]) - 64 for event in moved} <= set(range(-4, 4))
