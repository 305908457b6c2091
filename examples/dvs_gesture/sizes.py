"""How large the example is run: what every step of it reads from the command line."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from speckflex.training import TrainingSettings


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


@dataclass(frozen=True)
class Step:
    """What a step is told: the size, the seed, the recordings, and the folder of all files."""

    size: Size
    seed: int
    data: Path
    out: Path
    board: str


def read_step(description: str) -> Step:
    """Return the command line of a step; every step takes the same options."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--size", choices=list(SIZES), default="small")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("out/dvs_gesture"))
    parser.add_argument("--data", type=Path, help="DVS-Gesture; synthetic where it is not given")
    parser.add_argument("--board", default="speck2e")
    options = parser.parse_args()
    size = SIZES[options.size]
    options.out.mkdir(parents=True, exist_ok=True)
    suffix = f"-{size.users}-users" if size.users else ""
    synthetic = options.out / f"synthetic-gestures-{options.seed}{suffix}"
    return Step(size, options.seed, options.data or synthetic, options.out, options.board)
