"""How large the pipeline is run, and what of it is N-MNIST's own."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from speckflex.data import EventDataset, open_dataset
from speckflex.data.folders import write_split
from speckflex.data.nmnist import write_nmnist_file
from speckflex.training import TrainingSettings

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipeline import Pipeline  # pyright: ignore[reportMissingImports]


@dataclass(frozen=True)
class Size:
    """Settings of one size.

    Args:
        recordings: at most so many train, and a fifth as many synthetic ones test; None for all.
        width: the most channels of a convolution, W in the paper's 3C1FC(W16).
        t_max: frames of a recording, and the most time steps drawn.
        epochs: of the training with batch norm.
        finetune_epochs: of the bias-free training with mixed time steps.
        lower_bound: of the neurons, in thresholds.
        upsampling: "copy" (the paper's) or "spread".
        output: "mean" (the paper's) or "total".
        shift: pixels that a recording is moved by, at most.
        clip_weights: keep weights below the threshold.
        samples: recordings that are deployed; None for all.
    """

    recordings: int | None
    width: int
    t_max: int
    epochs: int
    finetune_epochs: int
    lower_bound: float = -8.0
    upsampling: str = "spread"
    output: str = "total"
    shift: int = 2
    clip_weights: bool = True
    samples: int | None = None

    def training(self, seed: int) -> TrainingSettings:
        """Return the settings of the training at a fixed T (SDT)."""
        return TrainingSettings(
            t_max=self.t_max,
            epochs=self.epochs,
            shift=self.shift,
            clip_weights=self.clip_weights,
            seed=seed,
        )

    def finetuning(self, seed: int) -> TrainingSettings:
        """Return the settings of the training at mixed T (MTT)."""
        return TrainingSettings(
            method="mtt",
            t_max=self.t_max,
            epochs=self.finetune_epochs,
            learning_rate=1e-3,
            shift=self.shift,
            clip_weights=self.clip_weights,
            upsampling=self.upsampling,
            output=self.output,
            seed=seed,
        )


SIZES = {
    # To see that every step runs; its figures mean nothing.
    "tiny": Size(recordings=50, width=4, t_max=3, epochs=1, finetune_epochs=1, samples=10),
    "small": Size(recordings=1500, width=16, t_max=10, epochs=12, finetune_epochs=4, samples=200),
    # Width, T, neuron, mixing and no augmentation are the paper's; it does not state its epochs.
    "full": Size(
        recordings=None,
        width=16,
        t_max=10,
        epochs=50,
        finetune_epochs=25,
        lower_bound=-1.0,
        upsampling="copy",
        output="mean",
        shift=0,
        clip_weights=False,
    ),
}


def write_digits(folder: Path, size: Size, seed: int) -> None:
    """Write simulated recordings of scikit-learn's digits in N-MNIST's layout."""
    n_test = size.recordings and size.recordings // 5
    for split, n in (("train", size.recordings), ("test", n_test)):
        dataset = open_dataset("synthetic-digits", split=split, seed=seed, limit=n)
        files = [
            (f"{label}/{index:05d}.bin", partial(_write, dataset=dataset, item=item))
            for index, (item, label) in enumerate(zip(dataset.items, dataset.labels, strict=True))
        ]
        settings = {"data": "synthetic-digits", "recordings": n, "seed": seed}
        write_split(folder / split.capitalize(), settings, files)


def _write(path: Path, dataset: EventDataset, item: object) -> None:
    write_nmnist_file(path, dataset.read(item))


PIPELINE = Pipeline(
    name="nmnist",
    folder=Path(__file__).parent,
    input_shape=(2, 34, 34),
    sizes=SIZES,
    synthetic=lambda size, seed: f"synthetic-digits-{seed}-{size.recordings or 'all'}",
    write_synthetic=write_digits,
)
