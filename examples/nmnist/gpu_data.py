"""Recordings of the GPU run, simulated by many processes and kept in a few large files."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from speckflex.data import (
    EventDataset,
    distort_images,
    open_dataset,
    read_idx,
)
from speckflex.data.synthetic._images import SENSORS
from speckflex.events.frames import to_frames
from speckflex.events.streams import make_events
from speckflex.training import FrameSet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

T = 10
SETS = ("simulated", "copy1", "copy2", "copy3")
SHAPE = (2, 34, 34)
CLASSES = tuple("0123456789")
SKIP = 100  # MNIST's images behind N-MNIST's test recordings
STRENGTH = 0.7  # of the distortions
PER_TASK = 50
PACKED = np.dtype([("t", "<i4"), ("x", "u1"), ("y", "u1"), ("p", "u1")])


def store_recordings(
    data: Path, work: Path, n_images: int, copies: int, processes: int, *, sensor: str
) -> None:
    """Write real recordings, one simulated recording per image, and copies of them.

    Args:
        data: has mnist/ (the test images and labels) and nmnist/.
        work: gets the files.
        n_images: of MNIST's test images from 100 on; drawn with a fixed seed.
        copies: made of each image; the first is of the same handwriting, others are distorted.
        processes: that simulate.
        sensor: a key of `SENSORS`, or "both", which take turns.
    """
    names = tuple(SENSORS) if sensor == "both" else (sensor,)
    images = read_idx(data / "mnist" / "t10k-images-idx3-ubyte.gz")[SKIP:]
    labels = read_idx(data / "mnist" / "t10k-labels-idx1-ubyte.gz")[SKIP:]
    chosen = np.random.default_rng(0).permutation(len(images))[:n_images]
    images, labels = images[chosen], labels[chosen].astype(np.int64)
    real = open_dataset(data / "nmnist", split="train")
    events = [pack(events) for events, _ in real]
    store("real", events, np.stack([frames_of(each) for each in events]), real.labels, work)
    starts = range(0, n_images, PER_TASK)
    parts = [images[start : start + PER_TASK] for start in starts]
    for name in names:
        simulate_part(images[:1], 0, 0, name)  # compiles the kernels once
    with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:
        for copy in range(copies + 1):
            simulate = partial(simulate_part, sensor=names[copy % len(names)])
            made = list(pool.map(simulate, parts, [copy] * len(parts), starts))
            events = [each for part, _ in made for each in part]
            frames = np.concatenate([part for _, part in made])
            store(SETS[copy], events, frames, labels, work)


def simulate_part(
    images: np.ndarray, copy: int, start: int, sensor: str
) -> tuple[list[np.ndarray], np.ndarray]:
    """Return a simulated recording of each image, and its frames."""
    rng = np.random.default_rng((copy, start))
    shown = distort_images(images, STRENGTH, rng) if copy > 1 else images / 255
    events = [pack(SENSORS[sensor](image, rng)) for image in shown]
    return events, np.stack([frames_of(each) for each in events])


def frames_of(packed: np.ndarray) -> np.ndarray:
    """Return (time, channel, y, x) uint8 at T = 10."""
    return np.minimum(to_frames(unpack(packed), SHAPE, T), 255).astype(np.uint8)


def pack(events: np.ndarray) -> np.ndarray:
    """Return events of 7 bytes each."""
    packed = np.empty(len(events), PACKED)
    for name in PACKED.names or ():
        packed[name] = events[name]
    return packed


def store(
    name: str, packed: list[np.ndarray], frames: np.ndarray, labels: np.ndarray, work: Path
) -> None:
    """Write recordings, their frames and their labels."""
    np.save(work / f"{name}-events.npy", np.concatenate(packed))
    np.save(work / f"{name}-ends.npy", np.cumsum([len(events) for events in packed]))
    np.save(work / f"{name}-frames.npy", frames)
    np.save(work / f"{name}-labels.npy", labels)


def unpack(packed: np.ndarray) -> np.ndarray:
    """Return the events that were packed."""
    return make_events(packed["t"].astype(np.int64), packed["x"], packed["y"], packed["p"])


def load(
    work: Path,
    names: Sequence[str],
    positions: Sequence[np.ndarray | None],
    *,
    frames: bool = False,
) -> FrameSet:
    """Return stored recordings as one set.

    Args:
        work: where they are.
        names: of the sets.
        positions: of the recordings to take from each set, in which one may occur several times;
            None for all.
        frames: with their frames, which a training that a board plays does not need.
    """
    parts = [load_one(work, name) for name in names]
    chosen = [
        np.arange(len(part)) if places is None else places
        for part, places in zip(parts, positions, strict=True)
    ]
    sets: list[Any] = [
        part.events.subset(places)
        for part, places in zip(parts, chosen, strict=True)
        if part.events is not None
    ]
    starts = np.cumsum([0, *map(len, sets)])

    def read(index: int) -> np.ndarray:
        part = int(np.searchsorted(starts, index, side="right")) - 1
        inside = sets[part]
        return inside.read(inside.items[index - starts[part]])

    labels = np.concatenate([part.labels for part in sets])
    shown = torch.zeros((1, 1, *SHAPE), dtype=torch.uint8).expand(len(labels), -1, -1, -1, -1)
    if frames:
        pieces = zip(parts, chosen, strict=True)
        shown = torch.cat([part.frames[torch.from_numpy(places)] for part, places in pieces])
    return FrameSet(shown, torch.from_numpy(labels), dataset(labels, read))


def load_one(work: Path, name: str) -> FrameSet:
    """Return one stored set."""
    events = np.load(work / f"{name}-events.npy", mmap_mode="r")
    ends = np.load(work / f"{name}-ends.npy")
    labels = np.load(work / f"{name}-labels.npy")
    frames = torch.from_numpy(np.load(work / f"{name}-frames.npy", mmap_mode="c"))

    def read(index: int) -> np.ndarray:
        return unpack(np.array(events[ends[index - 1] if index else 0 : ends[index]]))

    return FrameSet(frames, torch.from_numpy(labels), dataset(labels, read))


def dataset(labels: np.ndarray, read: Any) -> EventDataset:
    """Return a data set whose items are positions."""
    items = tuple(range(len(labels)))
    return EventDataset("gpu-run", SHAPE, CLASSES, labels, True, items, read)
