"""Synthetic digits and recordings of a user's own images."""

import gzip
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from tonic.io import read_mnist_file

from speckflex.data import (
    EventDataset,
    open_dataset,
    read_idx,
    write_saccade_recordings,
    write_synthetic_digits,
)
from speckflex.data.synthetic._digits import open_synthetic_digits
from speckflex.errors import EventsError

TONIC_DTYPE = np.dtype([("x", int), ("y", int), ("t", int), ("p", int)])


@pytest.fixture(scope="module")
def digits_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_synthetic_digits(tmp_path_factory.mktemp("digits"), seed=3, split="test")


def test_every_image_is_in_one_split_and_the_split_does_not_follow_the_seed():
    splits = {
        name: {glyph.image for glyph in open_synthetic_digits(name, seed=seed).items}
        for name, seed in (("train", 0), ("test", 1), ("all", 2))
    }
    assert not splits["train"] & splits["test"]
    assert splits["train"] | splits["test"] == splits["all"] == set(range(1797))
    assert len(splits["test"]) == 297


def test_images_and_labels_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    table = np.loadtxt(files("speckflex") / "data" / "digits" / "digits.csv.gz", delimiter=",")
    assert np.array_equal(table, np.column_stack([pixels, labels]))
    dataset = open_dataset("synthetic-digits", split="all")
    assert np.array_equal(dataset.labels, labels)


def test_files_and_simulation_on_reading_give_the_same_events(digits_folder: Path):
    written = open_dataset("synthetic-digits", seed=3, cache=digits_folder.parent)
    simulated = open_dataset("synthetic-digits", seed=3)
    assert len(written) == len(simulated) == 297
    place = {int(path.stem): index for index, path in enumerate(written.items)}
    for index in range(0, 297, 15):
        events, label = written[place[simulated.items[index].image]]
        assert label == simulated.labels[index]
        assert np.array_equal(events, simulated[index][0])


def test_tonic_reads_the_files_too(digits_folder: Path):
    dataset = open_dataset(digits_folder, limit=10)
    for path, (events, _) in zip(dataset.items, dataset, strict=True):
        theirs = read_mnist_file(path, TONIC_DTYPE)
        assert all(np.array_equal(theirs[name], events[name]) for name in "txyp")


def test_a_written_folder_says_that_it_is_synthetic(digits_folder: Path):
    assert open_dataset(digits_folder).synthetic
    assert open_dataset(digits_folder / "Test").synthetic
    assert "synthetic" in open_dataset(digits_folder).name


def test_a_complete_split_is_left_and_an_incomplete_one_made_again(digits_folder: Path):
    paths = [next((digits_folder / "Test" / label).glob("*.bin")) for label in "45"]
    written = paths[0].read_bytes()
    paths[0].write_bytes(b"untouched")
    write_synthetic_digits(digits_folder.parent, seed=3, split="test")
    assert paths[0].read_bytes() == b"untouched"
    (digits_folder / "Test" / "synthetic.json").unlink()
    paths[1].unlink()
    write_synthetic_digits(digits_folder.parent, seed=3, split="test")
    assert paths[0].read_bytes() == written
    assert paths[1].is_file()


def test_seeds_differ_and_one_seed_does_not():
    first, again, other = (open_synthetic_digits("test", seed=seed)[5][0] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_recordings_look_like_those_of_the_real_camera(shared_data: Path):
    """Medians over 60 recordings each, within a third of the real ones; two thirds for gaps."""
    real = open_dataset(shared_data / "nmnist", split="train", limit=60)
    synthetic = open_dataset("synthetic-digits", split="train", limit=60)
    for name, tolerance in TOLERANCES.items():
        ours, theirs = (
            np.median([FIGURES[name](events) for events, _ in data]) for data in (synthetic, real)
        )
        assert abs(ours - theirs) <= tolerance * theirs, (name, ours, theirs)


def mean_place(dataset: EventDataset, start: int, polarity: int) -> np.ndarray:
    """Return the mean (y, x) of one polarity's events in 15 ms of all recordings."""
    events = np.concatenate([events for events, _ in dataset])
    chosen = events[(events["t"] // 15_000 == start // 15) & (events["p"] == polarity)]
    return np.array([chosen["y"].mean(), chosen["x"].mean()])


@pytest.fixture(scope="module")
def saccades_of_mnist(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> EventDataset:
    images = read_idx(shared_data / "mnist" / "t10k-images-idx3-ubyte.gz")[100:200]
    labels = read_idx(shared_data / "mnist" / "t10k-labels-idx1-ubyte.gz")[100:200]
    folder = tmp_path_factory.mktemp("mnist")
    return open_dataset(write_saccade_recordings(images, labels, folder))


@pytest.mark.parametrize("start", [30, 45, 60, 135, 150, 165, 240, 255, 270])
def test_images_move_as_before_the_real_camera(
    saccades_of_mnist: EventDataset, shared_data: Path, start: int
):
    """Both polarities are within 2.5 pixels of the real ones in every slice with many events."""
    real = open_dataset(shared_data / "nmnist", split="train", limit=100)
    for polarity in (0, 1):
        gap = mean_place(saccades_of_mnist, start, polarity) - mean_place(real, start, polarity)
        assert np.abs(gap).max() < 2.5, (polarity, gap)


FIGURES = {
    "events": len,
    "on share": lambda events: events["p"].mean(),
    "extent x": lambda events: events["x"].std(),
    "extent y": lambda events: events["y"].std(),
    "length": lambda events: events["t"].max(),
    "median gap": lambda events: np.median(np.diff(events["t"])),
    "busiest pixel": lambda events: np.bincount(events["y"] * 34 + events["x"]).max(),
}
TOLERANCES = dict.fromkeys(FIGURES, 1 / 3) | {"on share": 0.1, "length": 0.1, "median gap": 2 / 3}


def test_recordings_of_ones_own_images_have_their_labels(tmp_path: Path, rng: np.random.Generator):
    images = (rng.random((4, 28, 28)) * 255).astype(np.uint8)
    folder = write_saccade_recordings(images, [7, 7, 0, 2], tmp_path / "my digits", seed=1)
    dataset = open_dataset(folder)
    assert dataset.synthetic
    assert dataset.labels.tolist() == [0, 2, 7, 7]
    assert all(events["t"].max() < 2**23 and len(events) > 1000 for events, _ in dataset)


def test_a_folder_that_can_not_be_written_is_one_line(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(EventsError, match=r"can't be written .*: choose another folder"):
        write_saccade_recordings(np.zeros((1, 8, 8)), [0], tmp_path / "file" / "below")


def test_a_black_image_gives_noise_alone(tmp_path: Path):
    folder = write_saccade_recordings(np.zeros((5, 8, 8)), [0] * 5, tmp_path)
    counts = [len(events) for events, _ in open_dataset(folder)]
    assert 5 * 20 < sum(counts) < 5 * 150  # 0.2 Hz on 1156 pixels for 0.3 s: 71 each


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 35, 8)), [0, 1], "at most 34 pixels"),
        (np.zeros((8, 8)), [0], "can't be shown"),
        (np.full((1, 8, 8), 255.0), [0], "no brightness"),
        (np.zeros((1, 8, 8), int), [0], "no brightness"),
        (np.full((1, 8, 8), np.nan), [0], "no brightness"),
        (np.zeros((2, 8, 8)), [0], "do not name the 2 images"),
        (np.zeros((1, 8, 8)), [10], "do not name"),
        (np.zeros((1, 8, 8)), ["1"], "do not name"),
    ],
)
def test_images_and_labels_of_another_kind_are_refused(
    tmp_path: Path, images: np.ndarray, labels: list, message: str
):
    with pytest.raises(EventsError, match=message):
        write_saccade_recordings(images, labels, tmp_path)


def test_idx_files_are_read_gzipped_or_not(tmp_path: Path):
    values = np.arange(24, dtype=np.uint8)
    raw = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4]) + values.tobytes()
    (tmp_path / "plain").write_bytes(raw)
    (tmp_path / "zipped.gz").write_bytes(gzip.compress(raw, mtime=0))
    for name in ("plain", "zipped.gz"):
        assert np.array_equal(read_idx(tmp_path / name), values.reshape(2, 3, 4))


def test_mnist_is_read(shared_data: Path):
    images = read_idx(shared_data / "mnist" / "t10k-images-idx3-ubyte.gz")
    labels = read_idx(shared_data / "mnist" / "t10k-labels-idx1-ubyte.gz")
    assert images.shape == (10000, 28, 28)
    assert labels[:5].tolist() == [7, 2, 1, 0, 4]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "begins with nothing"),
        (bytes([0, 0, 13, 1, 0, 0, 0, 0]), "begins with 00 00 0d 01"),
        (bytes([0, 0, 8, 3, 0]), "begins with 00 00 08 03"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 9, 1]), "1 values from byte 8 on, its header names 9"),
        (bytes([0, 0, 8, 4] + [255] * 16), "0 values from byte 20 on"),
        (gzip.compress(bytes(50), mtime=0)[:-12], "damaged gzip"),
    ],
)
def test_a_file_that_is_no_idx_is_refused(tmp_path: Path, raw: bytes, message: str):
    (tmp_path / "bad").write_bytes(raw)
    with pytest.raises(EventsError, match=message):
        read_idx(tmp_path / "bad")
