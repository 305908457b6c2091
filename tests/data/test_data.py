"""Data sets opened by name or by path."""

import contextlib
import io
import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speckflex.data import EventDataset, open_dataset
from speckflex.data.formats.nmnist import write_nmnist_file
from speckflex.errors import EventsError
from speckflex.events.streams import EVENT_DTYPE, make_events

EVENTS = make_events(*np.array([[5, 7, 7, 900], [3, 33, 0, 4], [1, 2, 33, 0], [0, 1, 1, 0]]))


def labelled(labels: list[int]) -> EventDataset:
    """A data set whose every recording is one event at the time of its index."""
    return EventDataset(
        name="numbered",
        shape=(1, 1, 1),
        classes=tuple("0123456789"),
        labels=np.array(labels, np.int64),
        synthetic=True,
        items=tuple(range(len(labels))),
        read=lambda index: make_events(*np.array([[index], [0], [0], [0]])),
    )


@given(st.lists(st.integers(-1, 9), min_size=1, max_size=60), st.integers(1, 70), st.integers(0, 9))
def test_a_limit_takes_as_evenly_from_the_classes_as_they_allow(
    labels: list[int], limit: int, seed: int
):
    chosen = labelled(labels).balanced(limit, seed=seed)
    assert len(chosen) == len(chosen.labels) == min(limit, len(labels))
    assert len(set(chosen.items)) == len(chosen)
    assert [labels[item] for item in chosen.items] == chosen.labels.tolist()
    have, took = Counter(labels), Counter(chosen.labels.tolist())
    most = max(took.values())
    assert all(took[label] >= min(have[label], most - 1) for label in have)


@given(st.lists(st.integers(0, 9), min_size=3, max_size=60), st.integers(1, 20))
def test_a_choice_is_the_same_for_a_seed_and_grows_with_the_limit(labels: list[int], limit: int):
    limit = min(limit, len(labels) - 2)
    smaller = labelled(labels).balanced(limit, seed=4)
    larger = labelled(labels).balanced(limit + 1, seed=4)
    assert larger.items[:limit] == smaller.items


def test_a_data_set_is_a_sequence_that_is_read_lazily():
    dataset = labelled([3, 1, 2])
    assert [(int(events["t"][0]), label) for events, label in dataset] == [(0, 3), (1, 1), (2, 2)]
    assert dataset[1:].labels.tolist() == [1, 2]
    assert dataset[-1][1] == 2


def test_a_limit_below_one_is_refused():
    with pytest.raises(EventsError, match="the limit of 0 recordings leaves none"):
        labelled([1, 2]).balanced(0)


def test_times_below_zero_are_shifted_to_start_at_zero(tmp_path: Path):
    early = EVENTS.copy()
    early["t"] -= 100
    np.save(tmp_path / "early.npy", early)
    events, _ = open_dataset(tmp_path / "early.npy")[0]
    assert events["t"].tolist() == [0, 2, 2, 895]


@pytest.mark.parametrize("fields", ["txyp", "xytp", "ptyx"])
def test_an_npy_file_is_read_whatever_its_field_order_and_name(tmp_path: Path, fields: str):
    path = tmp_path / "mit Leerzeichen ünd 手.npy"
    foreign = np.empty(len(EVENTS), [(name, np.int64) for name in fields])
    for name in fields:
        foreign[name] = EVENTS[name]
    np.save(path, foreign)
    dataset = open_dataset(str(path))
    events, label = dataset[0]
    assert events.dtype == EVENT_DTYPE
    assert np.array_equal(events, EVENTS)
    assert (label, dataset.shape, dataset.synthetic) == (-1, (2, 34, 34), False)


def test_an_npz_file_holds_many_recordings_and_their_labels(tmp_path: Path):
    np.savez(tmp_path / "runs.npz", EVENTS, EVENTS[:2], labels=np.array([4, 0]))
    dataset = open_dataset(tmp_path / "runs.npz")
    assert dataset.labels.tolist() == [4, 0]
    assert len(dataset.classes) == 5
    assert [len(events) for events, _ in dataset] == [4, 2]


def test_a_folder_of_npy_files_is_read_in_numeric_order(tmp_path: Path):
    for number in (10, 9, 1):
        np.save(tmp_path / f"run{number}.npy", EVENTS[: number % 4])
    assert [len(events) for events, _ in open_dataset(tmp_path)] == [1, 1, 2]


def write_bad(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no plain numpy array"),
        (b"\x93NUMPY\x01", "no plain numpy array"),
        (npy(EVENTS)[:-5], "no plain numpy array"),
        (npy(np.array([EVENTS, None], dtype=object)), "without Python objects"),
        (pickle.dumps(EVENTS), "no plain numpy array"),
        (npy(np.zeros((3, 3))), "is no event stream"),
        (npy(np.zeros((3, 4))), "allow the orders t, x, y, p or x, y, t, p or x, y, p, t"),
        (npy(np.zeros(3, [("t", int), ("x", int)])), "is no event stream"),
        (npy(np.zeros(3, [(n, "U2") for n in "txyp"])), "are no numbers"),
        (npy(np.full(3, 2**40, [(n, np.int64) for n in "txyp"])), "field x"),
    ],
)
def test_a_bad_npy_file_is_one_line_that_names_it(tmp_path: Path, content: bytes, message: str):
    write_bad(tmp_path / "bad.npy", content)
    with pytest.raises(EventsError, match=message) as caught:
        open_dataset(tmp_path / "bad.npy")
    assert "bad.npy" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bad_npz_file_is_one_line_that_names_it(tmp_path: Path):
    write_bad(tmp_path / "bad.npz", b"PK\x03\x04 cut off")
    with pytest.raises(EventsError, match=r"bad\.npz: no readable \.npz"):
        open_dataset(tmp_path / "bad.npz")
    np.savez(tmp_path / "labels.npz", EVENTS, labels=np.array([1, 2]))
    with pytest.raises(EventsError, match="one integer from -1 on for each of the 1 recordings"):
        open_dataset(tmp_path / "labels.npz")
    np.savez(tmp_path / "objects.npz", np.array([EVENTS, None], dtype=object))
    with pytest.raises(EventsError, match="without Python objects"):
        open_dataset(tmp_path / "objects.npz")


def archive(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, array)
    return buffer.getvalue()


@given(
    st.sampled_from([("a.npy", npy(EVENTS)), ("a.npz", archive(EVENTS))]),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=6),
    st.integers(0, 20),
)
def test_a_damaged_array_file_never_gives_another_error(
    tmp_path_factory: pytest.TempPathFactory,
    file: tuple[str, bytes],
    changes: list[tuple[int, int]],
    cut: int,
):
    name, content = file
    damaged = bytearray(content[: len(content) - cut])
    for place, value in changes:
        damaged[place % len(damaged)] = value
    path = tmp_path_factory.mktemp("damaged") / name
    path.write_bytes(damaged)
    with contextlib.suppress(EventsError):
        assert all(events.dtype == EVENT_DTYPE for events, _ in open_dataset(path))


@pytest.mark.parametrize(
    ("names", "source", "message"),
    [
        ([], "", "holds neither recordings nor images in a known layout"),
        ([], "", "but nothing: give a folder that holds one of: ibmGestureTrain"),
        (["a.jpg"], "", "put its images into a folder for each class"),
        (["a/1.jpg"], "", "holds images, and recordings of events are needed"),
        (["more/a/1.jpg"], "", "give .*more, which is known"),
        (["a/1.md", "b.md", "c"], "", r"2 files \(1 of .md, 1 of no suffix\) and 1 folder: give"),
        ([], "none", "no file, folder or data set has this name"),
        (["notes.md"], "notes.md", "files with the suffix .md can't be read"),
        (["a/1.md", "b/2.md"], "", "holds neither recordings nor images in a known layout"),
        (["Train/3/1.bin"], "", "no recordings in N-MNIST's layout for the split test"),
        (["Test/3/1.md"], "", "holds neither recordings nor images in a known layout"),
    ],
)
def test_a_source_without_recordings_is_refused(
    tmp_path: Path, names: list[str], source: str, message: str
):
    for name in names:
        write_bad(tmp_path / name, b"abc")
    with pytest.raises(EventsError, match=message):
        open_dataset(tmp_path / source)


def test_an_unknown_split_is_refused():
    with pytest.raises(EventsError, match="split 'validation' is not known"):
        open_dataset("synthetic-digits", split="validation")


def test_data_sets_are_opened_without_torch_or_tonic(tmp_path: Path):
    (tmp_path / "0").mkdir()
    write_nmnist_file(tmp_path / "0" / "1.bin", EVENTS)
    code = (
        "import sys; from speckflex.data import open_dataset; import speckflex.events.frames;"
        "open_dataset(sys.argv[1])[0]; open_dataset('synthetic-digits')[0];"
        "sys.exit('torch' in sys.modules or 'tonic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], check=False)  # noqa: S603 (own code)
    assert done.returncode == 0


def test_folders_of_arrays_are_classes_by_their_names(tmp_path, rng):
    events = make_events(*(np.array([column]) for column in (3, 4, 5, 1)))
    for name in ("10", "9", "walk"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "a.npy", events)
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("9", "10", "walk")
    assert sorted(dataset.labels.tolist()) == [0, 1, 2]
    assert {
        item.parent.name: label for item, label in zip(dataset.items, dataset.labels, strict=True)
    } == {
        "9": 0,
        "10": 1,
        "walk": 2,
    }


def test_split_folders_of_arrays_follow_the_split(tmp_path):
    events = make_events(*(np.array([column]) for column in (3, 4, 5, 1)))
    for split, n_files in (("Train", 3), ("Test", 2)):
        (tmp_path / split / "left").mkdir(parents=True)
        for index in range(n_files):
            np.save(tmp_path / split / "left" / f"{index}.npy", events)
    assert [len(open_dataset(tmp_path, split=s)) for s in ("train", "test", "all")] == [3, 2, 5]


def test_a_sparse_recording_takes_the_shape_of_its_sensor(tmp_path):
    np.save(tmp_path / "one.npy", make_events(*(np.array([column]) for column in (3, 4, 5, 1))))
    assert open_dataset(tmp_path / "one.npy").shape == (2, 6, 5)
    assert open_dataset(tmp_path / "one.npy").on_sensor((2, 34, 34)).shape == (2, 34, 34)
    with pytest.raises(EventsError, match="smaller"):
        open_dataset(tmp_path / "one.npy").on_sensor((2, 5, 5))
