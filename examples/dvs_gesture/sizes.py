"""The sizes of the example, and what is special to DVS-Gesture in it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speckflex.data import write_synthetic_gestures

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipeline import Pipeline  # pyright: ignore[reportMissingImports]
from pipeline import Size as AnySize


@dataclass(frozen=True, kw_only=True)
class Size(AnySize):
    """A size of this example.

    Args:
        users: number of simulated people in each split, with 22 recordings each; None for all.
        flip: train on the mirror image of each recording too.
    """

    users: int | None
    flip: bool = False


def trainings(learning_rate: float, **settings: Any) -> dict[str, Any]:
    """Return the settings of both trainings; the second starts at a third of the learning rate."""
    return {
        "settings": {"batch_size": 16, "learning_rate": learning_rate, **settings},
        "tuning": {"learning_rate": learning_rate / 3},
    }


SIZES = {
    # Only shows that every step runs; its figures mean nothing.
    "tiny": Size(users=1, width=8, t_max=3, epochs=(1, 1), samples=11, **trainings(3e-3)),
    "small": Size(users=8, width=16, t_max=10, epochs=(25, 10), samples=66, **trainings(1e-2)),
    # As in the paper: T, mixing, augmentation, optimiser and its settings. It states no epochs.
    "full": Size(
        users=None,
        width=32,
        t_max=40,
        epochs=(100, 50),
        flip=True,
        **trainings(5e-4, weight_decay=0.02, shift=20, upsampling="copy", output="mean"),
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
