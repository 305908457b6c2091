"""Open a data set by its name or by its path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from speckflex.data._folders import SPLITS
from speckflex.data._public import PUBLIC, open_public
from speckflex.data.formats._files import open_file
from speckflex.data.formats._layouts import open_folder
from speckflex.data.formats._reading import Reading
from speckflex.data.synthetic._digits import open_synthetic_digits
from speckflex.data.synthetic._gestures import open_synthetic_gestures
from speckflex.data.synthetic._tones import open_synthetic_tones
from speckflex.errors import EventsError

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from speckflex.data.dataset import EventDataset
    from speckflex.data.formats._reading import ReadingOptions

__all__ = ["open_dataset"]

SYNTHETIC = {
    "synthetic-digits": open_synthetic_digits,
    "synthetic-gestures": open_synthetic_gestures,
    "synthetic-tones": open_synthetic_tones,
}


def open_dataset(
    source: str | Path,
    *,
    split: str = "test",
    seed: int = 0,
    limit: int | None = None,
    cache: Path | None = None,
    download: bool = False,
    **reading: Unpack[ReadingOptions],
) -> EventDataset:
    """Return the recordings of a data set; each is read at the moment it is used.

    Args:
        source: a name or a path. Names: `nmnist`, `dvsgesture` (in the folder where tonic keeps
            them), `synthetic-digits`, `synthetic-gestures`, `synthetic-tones`. Paths: a folder in
            the layout of N-MNIST (`Train` and `Test`, or the label folders 0..9 themselves) or of
            tonic's DVS-Gesture (`ibmGestureTrain`, `ibmGestureTest`), or with the IDX files of
            MNIST, whose images are then sequences of pixels; a file of a format in
            docs/data.md; a folder of such files, or one with a folder of them for each class,
            with or without `Train` and `Test` above the classes.
        split: `train`, `test` or `all`; has no effect on a path without splits.
        seed: for the choice of `limit` recordings, and for synthetic recordings.
        limit: the largest number of recordings, balanced over the classes; None for all.
        cache: the folder where tonic keeps public data (by default `data`), and where
            synthetic recordings are kept as files (by default they are simulated when they
            are read, and nothing is written).
        download: whether tonic may download a public data set that is not there.
        **reading: what a file may leave open. `fields`: the file's names of t, x, y and p, such
            as `{"t": "ts"}`. `time_unit`: s, ms, us or ns. `sensor`: (y, x) pixels.

    Raises:
        EventsError: the source does not exist, holds no recordings, or one of its files is
            damaged.
    """
    if split not in SPLITS:
        raise EventsError(f"split {split!r} is not known: use one of {', '.join(SPLITS)}")
    name = str(source)
    cache = Path(cache) if cache is not None else None
    how = Reading(**reading)
    if (name in SYNTHETIC or name in PUBLIC) and (how.names or how.sensor is not None):
        raise EventsError(
            f"{name}: has fields, a unit of time and a sensor of its own: leave --fields,"
            " --time-unit and --sensor out"
        )
    if name in SYNTHETIC:
        dataset = SYNTHETIC[name](split, seed=seed, cache_folder=cache)
    elif name in PUBLIC:
        dataset = open_public(name, split, folder=cache, download=download)
    else:
        dataset = _open_path(Path(source).expanduser(), split, how)
    return dataset.balanced(limit, seed=seed)


def _open_path(path: Path, split: str, reading: Reading) -> EventDataset:
    if not path.exists():
        names = ", ".join((*PUBLIC, *SYNTHETIC))
        raise EventsError(
            f"{path}: no file, folder or data set has this name: give a path, or one of {names}"
        )
    try:
        if path.is_file():
            return open_file(path, reading)
        return open_folder(path, split, reading)
    except OSError as error:
        raise EventsError(
            f"{path}: can't be read ({error.strerror or error}): check its permissions"
        ) from error
