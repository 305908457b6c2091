"""N-MNIST's layout and file format, against tonic and a slow reading of the format."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tonic.io import read_mnist_file

from speckflex.data import open_dataset
from speckflex.data.formats.nmnist import read_nmnist_file, write_nmnist_file
from speckflex.errors import EventsError
from speckflex.events.streams import make_events

TONIC_DTYPE = np.dtype([("x", int), ("y", int), ("t", int), ("p", int)])


def decode_bit_by_bit(raw: bytes) -> list[tuple[int, int, int, int]]:
    """Read t, x, y, p as the format's description has them, one bit string an event."""
    events, overflow = [], 0
    for start in range(0, len(raw), 5):
        bits = "".join(f"{byte:08b}" for byte in raw[start : start + 5])
        x, y, polarity, time = (
            int(part, 2) for part in (bits[:8], bits[8:16], bits[16], bits[17:])
        )
        if y == 240:
            overflow += 8192
        else:
            events.append((time + overflow, x, y, polarity))
    return events


def raw_event() -> st.SearchStrategy[bytes]:
    """Five bytes: an event inside 34 x 34, or now and then an overflow."""
    byte = st.integers(0, 255)
    rows = st.one_of(st.integers(0, 33), st.just(240))
    return st.tuples(st.integers(0, 33), rows, byte, byte, byte).map(bytes)


@given(st.lists(raw_event(), min_size=1, max_size=40))
def test_files_decode_as_the_format_says_and_as_tonic_does(
    tmp_path_factory: pytest.TempPathFactory, raw_events: list[bytes]
):
    path = tmp_path_factory.mktemp("raw") / "1.bin"
    path.write_bytes(b"".join(raw_events))
    events = read_nmnist_file(path)
    assert events[["t", "x", "y", "p"]].tolist() == decode_bit_by_bit(path.read_bytes())
    theirs = read_mnist_file(path, TONIC_DTYPE)
    for name in "txyp":
        assert np.array_equal(events[name], theirs[name])


def test_real_recordings_decode_as_the_format_says(shared_data: Path):
    paths = sorted((shared_data / "nmnist" / "Test").glob("*/*.bin"))
    assert len(paths) == 5
    for path in paths:
        assert read_nmnist_file(path).tolist() == decode_bit_by_bit(path.read_bytes())


events_lists = st.lists(
    st.tuples(st.integers(0, 2**23 - 1), st.integers(0, 33), st.integers(0, 33), st.integers(0, 1)),
    min_size=1,
    max_size=40,
)


@given(events_lists)
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, ...]]
):
    path = tmp_path_factory.mktemp("written") / "1.bin"
    events = make_events(*np.array(rows).T)
    write_nmnist_file(path, events)
    assert np.array_equal(read_nmnist_file(path), events)


def test_a_time_beyond_23_bits_is_not_written(tmp_path: Path):
    with pytest.raises(EventsError, match="holds 0 to 8388607"):
        write_nmnist_file(tmp_path / "1.bin", make_events(*np.array([[2**23], [0], [0], [0]])))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes"),
        (b"abc", r"3 bytes.*begins at byte 0"),
        (bytes(5) + b"abc", r"8 bytes.*begins at byte 5"),
        (bytes(10) + bytes([34, 0, 0, 0, 0]), r"event 2 is at x = 34, y = 0"),
        (bytes([0, 99, 0, 0, 0]), r"event 0 is at x = 0, y = 99"),
    ],
)
def test_a_damaged_recording_is_refused_with_its_place(
    tmp_path: Path, content: bytes, message: str
):
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "7.bin").write_bytes(content)
    dataset = open_dataset(tmp_path)
    with pytest.raises(EventsError, match=message) as caught:
        dataset[0]
    assert "7.bin" in str(caught.value)


def write_layout(folder: Path, names: list[str]) -> None:
    for time, name in enumerate(names):
        path = folder / f"{name}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_nmnist_file(path, make_events(*np.array([[time], [0], [0], [0]])))


@pytest.mark.parametrize(("train", "test"), [("Train", "Test"), ("train", "TEST")])
def test_splits_are_read_whatever_their_case(tmp_path: Path, train: str, test: str):
    folder = tmp_path / "ordner ä"
    write_layout(folder, [f"{train}/1/00010", f"{train}/1/00009", f"{train}/0/3", f"{test}/9/2"])
    assert open_dataset(folder).labels.tolist() == [9]
    training = open_dataset(folder, split="train")
    assert [(int(events["t"][0]), label) for events, label in training] == [(2, 0), (1, 1), (0, 1)]
    assert open_dataset(folder, split="all").labels.tolist() == [0, 1, 1, 9]


def test_label_folders_alone_are_a_data_set_too(tmp_path: Path):
    write_layout(tmp_path, ["3/1", "5/1"])
    dataset = open_dataset(tmp_path, split="train")
    assert dataset.labels.tolist() == [3, 5]
    assert (dataset.shape, len(dataset.classes), dataset.synthetic) == ((2, 34, 34), 10, False)


def test_all_real_recordings_fit_the_sensor(shared_data: Path):
    dataset = open_dataset(shared_data / "nmnist", split="train")
    assert len(dataset) == 1000
    assert not dataset.synthetic
    assert all(1000 < len(events) < 8000 for events, _ in dataset)


def test_a_single_file_is_a_recording_of_nmnist(tmp_path: Path):
    events = make_events(*np.array([[7, 9], [33, 0], [0, 33], [1, 0]]))
    write_nmnist_file(tmp_path / "00002.bin", events)
    dataset = open_dataset(tmp_path / "00002.bin")
    assert (dataset.shape, dataset.shape_stated) == ((2, 34, 34), True)
    assert np.array_equal(dataset[0][0], events)
    # a flat folder of such files
    assert len(open_dataset(tmp_path)) == 1


def test_a_single_file_of_a_larger_sensor_states_no_size(tmp_path: Path):
    raw = bytes([200, 150, 128, 0, 5, 3, 240, 0, 0, 0, 10, 20, 0, 0, 1])
    (tmp_path / "image_0001.bin").write_bytes(raw)
    dataset = open_dataset(tmp_path / "image_0001.bin")
    assert (dataset.shape, dataset.shape_stated) == ((2, 151, 201), False)
    assert dataset[0][0].tolist() == decode_bit_by_bit(raw)


@pytest.mark.parametrize("inside", ["", "Caltech101"])
def test_ncaltech_is_known_by_its_classes(tmp_path: Path, inside: str):
    for name in ("wild_cat", "accordion", "airplanes", "Faces_easy"):
        folder = tmp_path / inside / name
        folder.mkdir(parents=True)
        (folder / "image_0001.bin").write_bytes(bytes([200, 150, 128, 0, 5]))
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("Faces_easy", "accordion", "airplanes", "wild_cat")
    assert (dataset.shape, dataset.shape_stated) == ((2, 180, 240), True)
    assert [label for _, label in dataset] == [0, 1, 2, 3]
