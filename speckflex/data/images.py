"""Data sets of still images: CIFAR's binary files, and folders of images, each read when used."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex._support.text import first_line, printable
from speckflex.data._folders import SPLITS, natural_order, numbers_and_text
from speckflex.data.dataset import balanced_positions
from speckflex.errors import EventsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["ImageDataset", "is_image_folder", "open_images"]

CIFAR_SHAPE = (3, 32, 32)
PIXEL_BYTES = 3 * 32 * 32
IMAGENET_SIZE = (224, 224)
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".webp")
# The folders of a split, in the order in which they are looked for.
SPLIT_FOLDERS = {"train": ("train",), "test": ("test", "val")}


@dataclass(frozen=True)
class _Cifar:
    """One of the two binary data sets, as its page describes it (Krizhevsky, "binary version").

    Args:
        name: of the data set.
        folder: what its archive unpacks to.
        files: of each split.
        label_bytes: in front of the pixels of an image; the last one is the class.
        names: the file with the names of the classes, one a line.
    """

    name: str
    folder: str
    files: dict[str, tuple[str, ...]]
    label_bytes: int
    names: str
    n_classes: int


CIFARS = (
    _Cifar(
        name="CIFAR-10",
        folder="cifar-10-batches-bin",
        files={
            "train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
            "test": ("test_batch.bin",),
        },
        label_bytes=1,
        names="batches.meta.txt",
        n_classes=10,
    ),
    _Cifar(
        name="CIFAR-100",
        folder="cifar-100-binary",
        files={"train": ("train.bin",), "test": ("test.bin",)},
        label_bytes=2,
        names="fine_label_names.txt",
        n_classes=100,
    ),
)


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """Images with labels; `dataset[i]` reads one as `(pixels, label)`.

    For networks in time steps only, which see the same image in each step. A board takes events:
    `simulate_image` makes a recording out of an image.

    Attributes:
        name: the name of the data set in a report.
        shape: channel, y, x of an image.
        classes: the name of each label.
        labels: `(n,) int64`, an index into `classes`.
        items: one for each image: a path, or a place in a file.
        read: returns the pixels of an item, `(channel, y, x) uint8`.
    """

    name: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    labels: np.ndarray
    items: tuple[Any, ...]
    read: Callable[[Any], np.ndarray]
    synthetic: bool = False
    shape_stated: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", printable(self.name))
        object.__setattr__(self, "classes", tuple(map(printable, self.classes)))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        """Return the pixels and the label of one image.

        Raises:
            EventsError: the image can't be read.
        """
        return self.read(self.items[index]), int(self.labels[index])

    def subset(self, indices: Sequence[int] | np.ndarray) -> ImageDataset:
        """Return a data set of the images at `indices`, in that order."""
        indices = np.asarray(indices, np.int64)
        items = tuple(self.items[index] for index in indices)
        return replace(self, labels=self.labels[indices], items=items)

    def balanced(self, limit: int | None, *, seed: int = 0) -> ImageDataset:
        """Return `limit` images, spread evenly over the classes, as `EventDataset.balanced` does.

        Raises:
            EventsError: the limit is below 1.
        """
        if limit is None or limit >= len(self):
            return self
        return self.subset(balanced_positions(self.labels, limit, seed=seed, name=self.name))


def is_image_folder(folder: str | Path) -> bool:
    """Return whether a folder holds images that `open_images` reads."""
    folder = Path(folder).expanduser()
    return folder.is_dir() and (_find_cifar(folder) is not None or bool(_class_folders(folder)))


def open_images(
    folder: str | Path,
    *,
    split: str = "test",
    limit: int | None = None,
    seed: int = 0,
    size: tuple[int, int] | None = None,
) -> ImageDataset:
    """Return the images of a folder; each is read at the moment it is used.

    Args:
        folder: CIFAR-10 or CIFAR-100 in their binary version (`data_batch_1.bin`, `train.bin`), or
            the folder around it; or a folder of images for each class, with or without `train` and
            `val` or `test` above the classes, as ImageNet's is.
        split: train, test or all; has no effect on a folder without splits.
        limit: the largest number of images, balanced over the classes; None for all.
        seed: for the choice of `limit` images.
        size: (y, x) of the pixels that come out. Images of a folder are scaled until they cover
            it, and cut to its centre; None for 224 x 224. CIFAR's have one size.

    Raises:
        EventsError: the folder holds no images, or a file of it is damaged.
    """
    if split not in SPLITS:
        raise EventsError(f"split {split!r} is not known: use one of {', '.join(SPLITS)}")
    folder = Path(folder).expanduser()
    try:
        found = _find_cifar(folder) if folder.is_dir() else None
        dataset = _open_cifar(*found, split) if found else _open_classes(folder, split, size)
    except OSError as error:
        raise EventsError(
            f"{folder}: can't be read ({error.strerror or error}): check its permissions"
        ) from error
    if found and size not in (None, CIFAR_SHAPE[1:]):
        raise EventsError(
            f"{folder}: {dataset.name} has images of 32 x 32 pixels, {size[0]} x {size[1]} were"
            " asked for: leave the size out"
        )
    return dataset.balanced(limit, seed=seed)


def _find_cifar(folder: Path) -> tuple[_Cifar, Path] | None:
    """Return which of the two lies in a folder or in the folder of its archive there."""
    for kind in CIFARS:
        for place in (folder, folder / kind.folder):
            if any((place / name).is_file() for names in kind.files.values() for name in names):
                return kind, place
    return None


def _open_cifar(kind: _Cifar, folder: Path, split: str) -> ImageDataset:
    wanted = [
        name for part in ("train", "test") if split in ("all", part) for name in kind.files[part]
    ]
    paths = [folder / name for name in wanted if (folder / name).is_file()]
    if not paths:
        raise EventsError(
            f"{folder}: has no {wanted[0]} of {kind.name} for the split {split}: add it, or choose"
            " another split"
        )
    record = kind.label_bytes + PIXEL_BYTES
    items: list[tuple[Path, int]] = []
    labels: list[np.ndarray] = []
    for path in paths:
        n_bytes = path.stat().st_size
        if not n_bytes or n_bytes % record:
            raise EventsError(
                f"{path}: has {n_bytes} bytes, {kind.name} has {record} for each image (the rest"
                f" begins at byte {n_bytes - n_bytes % record}): copy the file again"
            )
        # mapped, so that only the pages with labels are read
        rows = np.memmap(path, np.uint8, mode="r").reshape(-1, record)
        labels.append(rows[:, kind.label_bytes - 1].astype(np.int64))
        items += [(path, index) for index in range(len(rows))]
    every = np.concatenate(labels)
    if every.max() >= kind.n_classes:
        path, index = items[int(every.argmax())]
        raise EventsError(
            f"{path}: image {index} has the class {every.max()}, {kind.name} has"
            f" {kind.n_classes}: give its binary version"
        )
    return ImageDataset(
        name=kind.name,
        shape=CIFAR_SHAPE,
        classes=_names(folder / kind.names, kind.n_classes),
        labels=every,
        items=tuple(items),
        read=partial(_read_cifar, label_bytes=kind.label_bytes),
    )


def _names(path: Path, n_classes: int) -> tuple[str, ...]:
    """Return the names of the classes, or their numbers where the file of names is missing."""
    words = path.read_text(errors="replace").split() if path.is_file() else []
    return tuple(words) if len(words) == n_classes else tuple(map(str, range(n_classes)))


def _read_cifar(item: tuple[Path, int], *, label_bytes: int) -> np.ndarray:
    path, index = item
    offset = index * (label_bytes + PIXEL_BYTES) + label_bytes
    try:
        pixels = np.fromfile(path, np.uint8, count=PIXEL_BYTES, offset=offset)
    except OSError as error:
        raise EventsError(
            f"{path}: can't be read ({error.strerror or error}): check the path"
        ) from error
    if len(pixels) < PIXEL_BYTES:
        raise EventsError(f"{path}: ends inside image {index}: copy the file again")
    return pixels.reshape(CIFAR_SHAPE)


def _open_classes(folder: Path, split: str, size: tuple[int, int] | None) -> ImageDataset:
    if not folder.is_dir():
        raise EventsError(f"{folder}: no folder has this name: give a folder of images")
    every = _class_folders(folder)
    parts = (
        every if split == "all" else [(part, path) for part, path in every if part in ("", split)]
    )
    paths = [path for _, inner in parts for path in natural_order(inner, *SUFFIXES)]
    if not paths:
        there = sorted({part for part, _ in every})
        remedy = f"use the split {there[0]}" if there else "put them into a folder for each class"
        raise EventsError(f"{folder}: holds no images for the split {split}: {remedy}")
    names = sorted({inner.name for _, inner in every}, key=numbers_and_text)
    height, width = size or IMAGENET_SIZE
    place = {name: index for index, name in enumerate(names)}
    return ImageDataset(
        name=folder.name,
        shape=(3, height, width),
        classes=tuple(names),
        labels=np.array([place[path.parent.name] for path in paths], np.int64),
        items=tuple(paths),
        read=partial(_read_image, size=(height, width)),
    )


def _class_folders(folder: Path) -> list[tuple[str, Path]]:
    """Return the folders of classes that hold images, each with its split, "" for none."""
    inside = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_dir()}
    found = []
    for split, names in SPLIT_FOLDERS.items():
        part = next((inside[name] for name in names if name in inside), None)
        if part is not None:
            found += [(split, path) for path in _with_images(part)]
    return found or [("", path) for path in _with_images(folder)]


def _with_images(folder: Path) -> list[Path]:
    inner = sorted(
        filter(Path.is_dir, folder.iterdir()), key=lambda path: numbers_and_text(path.name)
    )
    return [
        path
        for path in inner
        if any(file.suffix.lower() in SUFFIXES and file.is_file() for file in path.iterdir())
    ]


def _read_image(path: Path, *, size: tuple[int, int]) -> np.ndarray:
    """Return the red, green and blue pixels of an image, scaled to cover `size` and cut to it."""
    from PIL import Image, ImageOps

    height, width = size
    try:
        with Image.open(path) as image:
            fitted = ImageOps.fit(image.convert("RGB"), (width, height), Image.Resampling.BILINEAR)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise EventsError(
            f"{path}: can't be read as an image ({first_line(error)}): copy the file again, or"
            " remove it"
        ) from error
    return np.ascontiguousarray(np.asarray(fitted, np.uint8).transpose(2, 0, 1))
