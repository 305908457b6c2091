"""CIFAR's binary files and folders of images, written here byte by byte as their pages say."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from speckflex.data import is_image_folder, open_dataset, open_images
from speckflex.errors import EventsError


def write_cifar10(folder: Path, name: str, labels: list[int], pixels: np.ndarray) -> None:
    """Write `<1 x label><3072 x pixel>`: 1024 red, 1024 green, 1024 blue, row by row."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("wb") as file:
        for label, image in zip(labels, pixels, strict=True):
            file.write(struct.pack("B", label))
            for channel in range(3):
                for row in range(32):
                    file.write(struct.pack("32B", *image[row, :, channel]))


@pytest.fixture
def rgb(rng) -> np.ndarray:
    """Six images, (image, y, x, colour)."""
    return rng.integers(0, 256, (6, 32, 32, 3))


@pytest.fixture
def cifar10(tmp_path, rgb) -> Path:
    folder = tmp_path / "cifar-10-batches-bin"
    write_cifar10(folder, "data_batch_1.bin", [3, 0], rgb[:2])
    write_cifar10(folder, "data_batch_2.bin", [9, 3], rgb[2:4])
    write_cifar10(folder, "test_batch.bin", [1, 2], rgb[4:])
    names = [f"kind{number}" for number in range(10)]
    (folder / "batches.meta.txt").write_text("\n".join(names) + "\n\n")
    return folder


def test_cifar10_gives_the_pixels_and_labels_that_were_written(cifar10, rgb):
    for folder in (cifar10, cifar10.parent):  # the folder itself, and the one around it
        assert is_image_folder(folder)
        training = open_images(folder, split="train")
        assert (training.name, training.shape, len(training)) == ("CIFAR-10", (3, 32, 32), 4)
        assert training.classes[3] == "kind3"
        assert training.labels.tolist() == [3, 0, 9, 3]
        for (pixels, _), image in zip(training, rgb, strict=False):
            assert np.array_equal(pixels.transpose(1, 2, 0), image)
    assert open_images(cifar10).labels.tolist() == [1, 2]
    assert open_images(cifar10, split="all").labels.tolist() == [3, 0, 9, 3, 1, 2]


def test_cifar100_has_a_coarse_label_before_the_fine_one(tmp_path, rgb):
    with (tmp_path / "train.bin").open("wb") as file:
        for fine, image in zip([99, 7], rgb, strict=False):
            file.write(struct.pack("BB", 5, fine))
            file.write(image.astype(np.uint8).transpose(2, 0, 1).tobytes())
    dataset = open_images(tmp_path, split="train")
    assert (dataset.name, len(dataset.classes)) == ("CIFAR-100", 100)
    assert dataset.labels.tolist() == [99, 7]
    assert np.array_equal(dataset[1][0].transpose(1, 2, 0), rgb[1])


def test_subsets_and_limits_are_balanced_over_the_classes(cifar10):
    dataset = open_images(cifar10, split="train", limit=3, seed=1)
    assert sorted(dataset.labels.tolist()) == [0, 3, 9]
    assert dataset.subset([1]).labels.tolist() == [dataset.labels[1]]
    with pytest.raises(EventsError, match="limit of 0"):
        open_images(cifar10, limit=0)


def write_bmp(path: Path, pixels: np.ndarray) -> None:
    """Write a bitmap of 24 bits: a header of 54 bytes, rows from the bottom up, blue first."""
    height, width = pixels.shape[:2]
    row = width * 3 + (-width * 3) % 4
    header = struct.pack("<2sIHHI", b"BM", 54 + row * height, 0, 0, 54)
    header += struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, row * height, 0, 0, 0, 0)
    rows = [line[:, ::-1].astype(np.uint8).tobytes().ljust(row, b"\0") for line in pixels[::-1]]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + b"".join(rows))


@pytest.fixture
def folders(tmp_path, rng) -> tuple[Path, np.ndarray]:
    """ImageNet's layout: train and val with a folder for each class; 8 images of 6 x 6 pixels."""
    pixels = rng.integers(0, 256, (8, 6, 6, 3))
    places = [
        f"{part}/{name}" for part in ("train", "val") for name in ("n02", "n01") for _ in "ab"
    ]
    for number, (place, image) in enumerate(zip(places, pixels, strict=True)):
        write_bmp(tmp_path / place / f"{number}.bmp", image)
    return tmp_path, pixels


def test_a_folder_of_images_has_classes_splits_and_pixels(folders):
    folder, pixels = folders
    training = open_images(folder, split="train", size=(6, 6))
    assert training.classes == ("n01", "n02")
    assert training.labels.tolist() == [0, 0, 1, 1]
    assert [path.name for path in training.items] == ["2.bmp", "3.bmp", "0.bmp", "1.bmp"]
    assert np.array_equal(training[2][0].transpose(1, 2, 0), pixels[0])
    assert open_images(folder, size=(6, 6)).items[0].name == "6.bmp"
    assert len(open_images(folder, split="all")) == 8
    assert open_images(folder).shape == (3, 224, 224)


def test_other_sizes_are_scaled_to_cover_and_cut_to_the_centre(tmp_path):
    pixels = np.zeros((4, 8, 3), int)
    pixels[:, 2:6] = 200  # the centre
    write_bmp(tmp_path / "a" / "0.bmp", pixels)
    image, _ = open_images(tmp_path, size=(4, 4))[0]
    assert (image == 200).all()
    larger, _ = open_images(tmp_path, size=(16, 16))[0]
    assert larger.shape == (3, 16, 16)


def test_jpeg_and_grey_images_are_read_in_three_channels(tmp_path):
    (tmp_path / "a").mkdir()
    Image.new("L", (9, 9), 77).save(tmp_path / "a" / "grey.JPEG", quality=100)
    pixels, label = open_images(tmp_path, size=(9, 9))[0]
    assert (label, pixels.shape) == (0, (3, 9, 9))
    assert abs(pixels.astype(int) - 77).max() <= 1


def test_damage_and_absence_are_one_line_that_names_the_file(tmp_path, cifar10, folders):
    folder, _ = folders
    with (cifar10 / "test_batch.bin").open("ab") as file:
        file.write(b"x")
    (folder / "train" / "n01" / "2.bmp").write_bytes(b"BMnothing")
    cases = [
        (lambda: open_images(cifar10), "test_batch.bin: has 6147 bytes, CIFAR-10 has 3073"),
        (lambda: open_images(cifar10, split="train", size=(8, 8)), "32 x 32 pixels, 8 x 8 were"),
        (lambda: open_images(folder / "train", size=(6, 6))[0], "2.bmp: can't be read as an image"),
        (lambda: open_images(tmp_path / "no"), "no folder has this name"),
        (lambda: open_images(folder, split="some"), "split 'some' is not known"),
    ]
    for call, words in cases:
        with pytest.raises(EventsError, match=words) as caught:
            call()
        assert "\n" not in str(caught.value)
    (tmp_path / "empty").mkdir()
    assert not is_image_folder(tmp_path / "empty")
    with pytest.raises(EventsError, match="holds no images"):
        open_images(tmp_path / "empty")


def test_a_class_beyond_the_last_one_is_refused(tmp_path, rgb):
    write_cifar10(tmp_path, "test_batch.bin", [1, 200], rgb[:2])
    with pytest.raises(EventsError, match="image 1 has the class 200"):
        open_images(tmp_path)


def test_cifar10_dvs_is_a_folder_of_dvs128_recordings_for_each_class(tmp_path):
    # jAER's AEDAT 2: big-endian pairs of address and µs; bits 1..7 are 127 - x, 8..14 y, bit 0 the
    # polarity, 1 for off
    for label, name in enumerate(("airplane", "truck")):
        folder = tmp_path / name
        folder.mkdir()
        x, y, on = 5 + label, 90, 1
        address = (y << 8) | ((127 - x) << 1) | (1 - on)
        content = b"#!AER-DAT2.0\r\n# HardwareInterface: DVS128\r\n"
        content += struct.pack(">IIII", address, 1000, address, 1007)
        (folder / f"cifar10_{name}_0.aedat").write_bytes(content)
    dataset = open_dataset(tmp_path)
    assert (dataset.shape, dataset.shape_stated) == ((2, 128, 128), True)
    assert dataset.classes == ("airplane", "truck")
    for label, (events, own) in enumerate(dataset):
        assert own == label
        assert (events["t"] - events["t"][0]).tolist() == [0, 7]
        assert set(events["x"].tolist()) == {5 + label}
        assert set(events["p"].tolist()) == {1}
