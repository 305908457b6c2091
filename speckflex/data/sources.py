"""Open a data set by its name or by its place on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from speckflex.data.arrays import open_array_files
from speckflex.data.digits import open_synthetic_digits
from speckflex.data.folders import SPLITS, natural_order
from speckflex.data.nmnist import is_nmnist_folder, open_nmnist_folder
from speckflex.errors import EventsError

if TYPE_CHECKING:
    from speckflex.data.dataset import EventDataset

__all__ = ["open_dataset"]

ARRAYS = (".npy", ".npz")


def open_dataset(
    source: str | Path,
    *,
    split: str = "test",
    seed: int = 0,
    limit: int | None = None,
    cache: Path | None = None,
) -> EventDataset:
    """Return the recordings of a data set; each is read when it is asked for.

    Args:
        source: `synthetic-digits`; or a path: a folder in N-MNIST's layout (`Train` and `Test`
            inside, or the label folders 0..9 themselves), an `.npy` or `.npz` file of structured
            arrays, or a folder of `.npy` files.
        split: `train`, `test` or `all`; says nothing where a path is not divided.
        seed: of the choice for `limit`, and of synthetic recordings.
        limit: at most so many recordings, balanced over the classes; None for all.
        cache: the folder where synthetic recordings are kept as files; without one they are
            simulated when they are read, and nothing is written.

    Raises:
        EventsError: the source is not there, holds no recordings, or a file of it is damaged.
    """
    if split not in SPLITS:
        raise EventsError(f"split {split!r} is not known: use one of {', '.join(SPLITS)}")
    if str(source) == "synthetic-digits":
        dataset = open_synthetic_digits(split, seed=seed, cache_folder=cache)
    else:
        dataset = _open_path(Path(source).expanduser(), split)
    return dataset.balanced(limit, seed=seed)


def _open_path(path: Path, split: str) -> EventDataset:
    if not path.exists():
        raise EventsError(
            f"{path}: no such file or folder, and no data set of that name: give a path or"
            " synthetic-digits"
        )
    if path.is_file():
        return _open_file(path)
    if is_nmnist_folder(path):
        return open_nmnist_folder(path, split)
    if natural_order(path, ".npy"):
        return open_array_files(path)
    raise EventsError(
        f"{path}: holds no recordings in a layout that is known: give a folder with Train and"
        " Test, with the label folders 0 to 9, or with .npy files"
    )


def _open_file(path: Path) -> EventDataset:
    if path.suffix.lower() in ARRAYS:
        return open_array_files(path)
    raise EventsError(
        f"{path}: recordings of type {path.suffix or 'none'} can't be read: use .npy or .npz"
    )
