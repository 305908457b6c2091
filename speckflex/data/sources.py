"""Open a data set by its name or by its place on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from speckflex.data.arrays import labelled_folders, open_array_files, open_labelled_arrays
from speckflex.data.camera import SUFFIXES, open_camera_file
from speckflex.data.digits import open_synthetic_digits
from speckflex.data.downloads import PUBLIC, open_public
from speckflex.data.folders import SPLITS, natural_order
from speckflex.data.gestures import is_gesture_folder, open_gesture_folder
from speckflex.data.nmnist import is_nmnist_folder, open_nmnist_folder
from speckflex.data.synthetic_gestures import open_synthetic_gestures
from speckflex.errors import EventsError

if TYPE_CHECKING:
    from speckflex.data.dataset import EventDataset

__all__ = ["open_dataset"]

ARRAYS = (".npy", ".npz")
SYNTHETIC = {
    "synthetic-digits": open_synthetic_digits,
    "synthetic-gestures": open_synthetic_gestures,
}


def open_dataset(
    source: str | Path,
    *,
    split: str = "test",
    seed: int = 0,
    limit: int | None = None,
    cache: Path | None = None,
    download: bool = False,
) -> EventDataset:
    """Return the recordings of a data set; each is read when it is asked for.

    Args:
        source: a name or a path. Names: `nmnist`, `dvsgesture` (as tonic keeps them),
            `synthetic-digits`, `synthetic-gestures`. Paths: a folder in the layout of N-MNIST
            (`Train` and `Test`, or the label folders 0..9 themselves) or of tonic's DVS-Gesture
            (`ibmGestureTrain`, `ibmGestureTest`); an `.npy` or `.npz` file of structured arrays
            or a folder of `.npy` files, or a folder of such folders, one a class, with `Train`
            and `Test` above them or without; one camera file (`.raw` in EVT2 or EVT3, `.dat`,
            `.aedat4`).
        split: `train`, `test` or `all`; says nothing where a path is not divided.
        seed: of the choice for `limit`, and of synthetic recordings.
        limit: at most so many recordings, balanced over the classes; None for all.
        cache: the folder where tonic keeps public data (`data` without one) and where
            synthetic recordings are kept as files (without one they are simulated when they
            are read, and nothing is written).
        download: whether tonic may download a public data set that is not there.

    Raises:
        EventsError: the source is not there, holds no recordings, or a file of it is damaged.
    """
    if split not in SPLITS:
        raise EventsError(f"split {split!r} is not known: use one of {', '.join(SPLITS)}")
    name = str(source)
    cache = Path(cache) if cache is not None else None
    if name in SYNTHETIC:
        dataset = SYNTHETIC[name](split, seed=seed, cache_folder=cache)
    elif name in PUBLIC:
        dataset = open_public(name, split, folder=cache, download=download)
    else:
        dataset = _open_path(Path(source).expanduser(), split)
    return dataset.balanced(limit, seed=seed)


def _open_path(path: Path, split: str) -> EventDataset:
    if not path.exists():
        names = ", ".join((*PUBLIC, *SYNTHETIC))
        raise EventsError(
            f"{path}: no such file or folder, and no data set of that name: give a path, or one"
            f" of {names}"
        )
    try:
        return _open_file(path) if path.is_file() else _open_folder(path, split)
    except OSError as error:
        raise EventsError(
            f"{path}: can't be read ({error.strerror or error}): check its permissions"
        ) from error


def _open_folder(path: Path, split: str) -> EventDataset:
    labelled = labelled_folders(path, split)
    if labelled:
        return open_labelled_arrays(path, labelled)
    if is_nmnist_folder(path):
        return open_nmnist_folder(path, split)
    if is_gesture_folder(path):
        return open_gesture_folder(path, split)
    if natural_order(path, ".npy"):
        return open_array_files(path)
    raise EventsError(
        f"{path}: holds no recordings in a layout that is known: give a folder with Train and"
        " Test, with the label folders 0 to 9, with ibmGestureTrain and ibmGestureTest, with"
        " .npy files, or with a folder of .npy files for each class"
    )


def _open_file(path: Path) -> EventDataset:
    suffix = path.suffix.lower()
    if suffix in ARRAYS:
        return open_array_files(path)
    if suffix in SUFFIXES:
        return open_camera_file(path)
    raise EventsError(
        f"{path}: recordings of type {suffix or 'none'} can't be read: use one of"
        f" {', '.join((*ARRAYS, *SUFFIXES))}"
    )
