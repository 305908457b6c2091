"""MNIST's IDX files as sequences of pixels, and synthetic tones that only their order tells."""

import gzip
import struct

import numpy as np
import pytest

from speckflex.data import open_dataset
from speckflex.data.synthetic._tones import Melody, simulate_melody
from speckflex.errors import EventsError

# Two images of 2 rows and 3 columns.
PIXELS = bytes([0, 1, 2, 255, 0, 3, 0, 0, 0, 0, 0, 0])
LABELS = bytes([7, 0])


def write_idx(path, shape, values, *, zipped=False):
    """Write a file byte by byte, as the page of MNIST describes IDX."""
    content = struct.pack(">BBBB", 0, 0, 0x08, len(shape))
    content += b"".join(struct.pack(">I", size) for size in shape) + values
    path.write_bytes(gzip.compress(content) if zipped else content)


@pytest.fixture
def folder(tmp_path):
    write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", (2, 2, 3), PIXELS, zipped=True)
    write_idx(tmp_path / "t10k-labels-idx1-ubyte", (2,), LABELS)
    return tmp_path


def test_a_pixel_is_as_many_events_as_its_value_in_its_millisecond(folder):
    dataset = open_dataset(folder)
    assert (dataset.shape, dataset.synthetic, len(dataset.classes)) == ((1, 1, 1), False, 10)
    events, label = dataset[0]
    times, counts = np.unique(events["t"], return_counts=True)
    assert dict(zip(times.tolist(), counts.tolist(), strict=True)) == {
        1000: 1, 2000: 2, 3000: 255, 5000: 3,
    }  # fmt: skip
    assert label == 7
    assert len(dataset[1][0]) == 0


def test_both_splits_are_read_under_either_spelling(folder):
    write_idx(folder / "train-images.idx3-ubyte", (1, 1, 1), b"\x05")
    write_idx(folder / "train-labels.idx1-ubyte", (1,), b"\x03")
    assert open_dataset(folder, split="all").labels.tolist() == [3, 7, 0]
    assert len(open_dataset(folder, split="train")[0][0]) == 5


def remove_labels(folder):
    (folder / "t10k-labels-idx1-ubyte").unlink()


def cut_images(folder):
    write_idx(folder / "t10k-images-idx3-ubyte", (2, 2, 3), PIXELS[:-1])
    (folder / "t10k-images-idx3-ubyte.gz").unlink()


def give_one_label(folder):
    write_idx(folder / "t10k-labels-idx1-ubyte", (1,), LABELS[:1])


def empty_images(folder):
    write_idx(folder / "t10k-images-idx3-ubyte.gz", (2, 0, 3), b"")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (remove_labels, "has no t10k-labels-idx1-ubyte for the split test"),
        (cut_images, "holds 11 values from byte 16 on, its header names 12"),
        (give_one_label, r"shape \(2, 2, 3\), its labels in .* have shape \(1,\)"),
        (empty_images, "holds no pixel"),
    ],
)
def test_files_that_do_not_belong_together_are_refused_in_one_line(folder, spoil, message):
    spoil(folder)
    with pytest.raises(EventsError, match=message) as caught:
        open_dataset(folder)
    assert "\n" not in str(caught.value)


def test_a_missing_split_is_refused_by_its_file(folder):
    with pytest.raises(EventsError, match="no train-images-idx3-ubyte for the split train"):
        open_dataset(folder, split="train")


def test_rising_and_falling_tones_have_the_same_spikes_in_another_order():
    """Only times differ between the classes: no sum over time tells them apart."""
    for index in range(5):
        rising, falling = (simulate_melody(Melody(label, "train", index, 3)) for label in (0, 1))
        assert sorted(rising["x"]) == sorted(falling["x"])
        for events, sign in ((rising, 1), (falling, -1)):
            early = events["x"][events["t"] < np.median(events["t"])].mean()
            late = events["x"][events["t"] >= np.median(events["t"])].mean()
            assert sign * (late - early) > 100


def test_synthetic_tones_are_labelled_recordings_on_the_units_of_shd():
    train, test = (open_dataset("synthetic-tones", split=split) for split in ("train", "test"))
    assert (train.shape, train.classes) == ((1, 1, 700), ("rising", "falling"))
    assert train.synthetic
    assert (np.bincount(train.labels) == 200).all()
    assert (np.bincount(test.labels) == 100).all()
    assert train[0][0].tolist() != test[0][0].tolist()
    assert open_dataset("synthetic-tones", split="train")[0][0].tolist() == train[0][0].tolist()
