"""How large the example is run, and what of it is DVS-Gesture's own."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from speckflex.data import write_synthetic_gestures
from speckflex.training import TrainingSettings

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipeline import Pipeline  # pyright: ignore[reportMissingImports]


@dataclass(frozen=True)
class Size:
    """Settings of one size.

    Args:
        users: simulated people in each split, 22 recordings each; None for all.
        width: the most channels of a convolution, W in the paper's 4C2FC(W32).
        t_max: frames of a recording, and the most time steps drawn.
        epochs: of the training with batch norm.
        finetune_epochs: of the bias-free training with mixed time steps.
        learning_rate: at the start of the training; a third of it when fine-tuning.
        weight_decay: of AdamW.
        shift: pixels that a recording is moved by, at most.
        flip: train on the mirror image of each recording too.
        samples: recordings that are deployed.
    """

    users: int | None
    width: int
    t_max: int
    epochs: int
    finetune_epochs: int
    learning_rate: float = 3e-3
    weight_decay: float = 0.0
    shift: int = 0
    flip: bool = False
    samples: int | None = None

    def training(self, seed: int) -> TrainingSettings:
        """Return the settings of the training at a fixed T (SDT)."""
        return TrainingSettings(
            t_max=self.t_max,
            epochs=self.epochs,
            batch_size=16,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            shift=self.shift,
            seed=seed,
        )

    def finetuning(self, seed: int) -> TrainingSettings:
        """Return the settings of the training at mixed T (MTT)."""
        return TrainingSettings(
            method="mtt",
            t_max=self.t_max,
            epochs=self.finetune_epochs,
            batch_size=16,
            learning_rate=self.learning_rate / 3,
            weight_decay=self.weight_decay,
            shift=self.shift,
            seed=seed,
        )


SIZES = {
    # To see that every step runs; its figures mean nothing.
    "tiny": Size(users=1, width=8, t_max=3, epochs=1, finetune_epochs=1, samples=11),
    "small": Size(
        users=8, width=16, t_max=10, epochs=25, finetune_epochs=10, learning_rate=1e-2, samples=66
    ),
    # T, augmentation, optimiser and its figures are the paper's; it does not state its epochs.
    "full": Size(
        users=None,
        width=32,
        t_max=40,
        epochs=100,
        finetune_epochs=50,
        learning_rate=5e-4,
        weight_decay=0.02,
        shift=20,
        flip=True,
    ),
}


def write_gestures(folder: Path, size: Size, seed: int) -> None:
    """Write simulated people's gestures in DVS-Gesture's layout."""
    write_synthetic_gestures(folder.parent, seed=seed, users=size.users)


def synthetic_name(size: Size, seed: int) -> str:
    """Return the name that `write_synthetic_gestures` gives its folder."""
    return f"synthetic-gestures-{seed}" + (f"-{size.users}-users" if size.users else "")


PIPELINE = Pipeline(
    name="dvsgesture",
    folder=Path(__file__).parent,
    input_shape=(2, 128, 128),
    sizes=SIZES,
    synthetic=synthetic_name,
    write_synthetic=write_gestures,
)
