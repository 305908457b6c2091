"""The sizes of the example, and what is special to DVS-Gesture in it."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from speckflex.data import write_synthetic_gestures
from speckflex.training.recipes import find_recipe

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipeline import Pipeline  # pyright: ignore[reportMissingImports]
from pipeline import Size as AnySize


@dataclass(frozen=True, kw_only=True)
class Size(AnySize):
    """A size of this example.

    Args:
        users: number of simulated people in each split, with 22 recordings each; None for all.
    """

    users: int | None


def trainings(learning_rate: float, **settings: Any) -> dict[str, Any]:
    """Return the settings of both trainings; the second starts at a third of the learning rate."""
    return {
        "settings": {"batch_size": 16, "learning_rate": learning_rate, **settings},
        "tuning": {"learning_rate": learning_rate / 3},
    }


def published() -> dict[str, Any]:
    """Return T, epochs and settings of the recipe; `speckflex train --explain` has its sources."""
    recipe = find_recipe("paper-gesture")
    base, tuning = asdict(recipe.training), asdict(recipe.finetuning or recipe.training)
    own = ("method", "t_max", "epochs", "seed", "batch_norm_mode")
    settings = {name: value for name, value in base.items() if name not in own}
    return {
        "t_max": base["t_max"],
        "epochs": (base["epochs"], tuning["epochs"]),
        "settings": settings,
        "tuning": {name: tuning[name] for name in settings},
    }


SIZES = {
    # Only shows that every step runs; its figures mean nothing.
    "tiny": Size(users=1, width=8, t_max=3, epochs=(1, 1), samples=11, **trainings(3e-3)),
    "small": Size(users=8, width=16, t_max=10, epochs=(25, 10), samples=66, **trainings(1e-2)),
    "full": Size(users=None, width=32, **published()),
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
