"""The sizes of the example, and what is special to N-MNIST in it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from speckflex.data import open_dataset, read_idx, write_saccade_recordings
from speckflex.data.formats.nmnist import write_nmnist_file
from speckflex.data.synthetic.files import write_split

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipeline import Pipeline, Step  # pyright: ignore[reportMissingImports]
from pipeline import Size as AnySize


@dataclass(frozen=True, kw_only=True)
class Size(AnySize):
    """A size of this example.

    Args:
        recordings: the largest number that train; a fifth as many synthetic ones test; None for
            all.
        lower_bound: of the neurons, in thresholds.
        on_board: train without batch norm, with spikes that vote, then with the twin in the loop.
        simulated: how many recordings are simulated from the images of `--images`.
        repeats: how often each recording trains in an epoch, where simulated ones stand beside.
    """

    recordings: int | None
    lower_bound: float = -8.0
    on_board: bool = False
    simulated: int = 20
    repeats: int = 1


# Not in the paper: with these, time steps and events give more similar results.
OURS: dict[str, Any] = {
    "settings": {"augment": "shift:2", "clip_weights": True},
    "tuning": {"learning_rate": 1e-3},
}
SIZES = {
    # Only shows that every step runs; its figures mean nothing.
    "tiny": Size(recordings=50, width=4, t_max=3, epochs=(1, 1), samples=10, **OURS),
    "small": Size(recordings=1500, width=16, t_max=10, epochs=(12, 4), samples=200, **OURS),
    # For a thousand real recordings, and simulated ones beside them.
    "real": Size(
        recordings=None,
        simulated=5000,
        repeats=2,
        width=16,
        t_max=10,
        epochs=(15, 12),
        lower_bound=-1.0,
        on_board=True,
        samples=200,
        settings={"augment": "shift:1,warp:1", "learning_rate": 2e-3, "keep": "last"},
        tuning={"method": "board", "synops_weight": 0.0},
    ),
    # As in the paper: width, T, neuron, mixing, no augmentation. The paper states no epochs.
    "full": Size(
        recordings=None,
        width=16,
        t_max=10,
        epochs=(50, 25),
        lower_bound=-1.0,
        tuning={"learning_rate": 1e-3, "upsampling": "copy", "output": "mean"},
    ),
}
# MNIST's images behind N-MNIST's test recordings, which must not train.
TEST_IMAGES = 100
SIMULATED = "simulated"


def write_digits(folder: Path, size: Size, seed: int) -> None:
    """Write simulated recordings of scikit-learn's digits in N-MNIST's layout."""
    n_test = size.recordings and size.recordings // 5
    for split, n in (("train", size.recordings), ("test", n_test)):
        dataset = open_dataset("synthetic-digits", split=split, seed=seed, limit=n)
        files = [
            (f"{label}/{index:05d}.bin", item)
            for index, (item, label) in enumerate(zip(dataset.items, dataset.labels, strict=True))
        ]
        settings = {"data": "synthetic-digits", "recordings": n, "seed": seed}
        place = folder / split.capitalize()
        write_split(place, settings, files, dataset.read, write_nmnist_file)


def find_images(folder: Path) -> list[Path]:
    """Return the files of MNIST's test images and labels in a folder."""
    found = [sorted(folder.glob(f"t10k-{kind}-*")) for kind in ("images", "labels")]
    if not all(found):
        raise SystemExit(f"{folder}: has no files t10k-images-* and t10k-labels-*: check --images")
    return [paths[0] for paths in found]


def write_images(step: Step[Size]) -> None:
    """Simulate recordings of MNIST's test images, but for the first ones."""
    images, labels = map(read_idx, find_images(Path(step.images or "")))
    order = np.random.default_rng(step.seed).permutation(np.arange(TEST_IMAGES, len(images)))
    chosen = np.sort(order[: step.size.simulated])
    folder = step.out / SIMULATED / "Train"
    write_saccade_recordings(images[chosen], labels[chosen], folder, seed=step.seed)
    print(f"train: {len(chosen)} more recordings, simulated from {step.images}")


PIPELINE = Pipeline(
    name="nmnist",
    folder=Path(__file__).parent,
    input_shape=(2, 34, 34),
    sizes=SIZES,
    synthetic=lambda size, seed: f"synthetic-digits-{seed}-{size.recordings or 'all'}",
    write_synthetic=write_digits,
    write_more=write_images,
)
