"""The public data sets by name, through tonic, downloaded only when asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from speckflex.data.gestures import is_gesture_folder, open_gesture_folder
from speckflex.data.nmnist import is_nmnist_folder, open_nmnist_folder
from speckflex.errors import EventsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from speckflex.data.dataset import EventDataset

__all__ = ["PUBLIC", "open_public"]

DEFAULT_FOLDER = Path("data")  # as in tonic's own examples

# name: tonic's class (and its folder), is it there, open it
PUBLIC: dict[str, tuple[str, Callable[[Path], bool], Callable[[Path, str], EventDataset]]] = {
    "nmnist": ("NMNIST", is_nmnist_folder, open_nmnist_folder),
    "dvsgesture": ("DVSGesture", is_gesture_folder, open_gesture_folder),
}


def open_public(
    name: str, split: str, *, folder: Path | None = None, download: bool = False
) -> EventDataset:
    """Return a public data set from where tonic keeps it.

    Args:
        name: nmnist or dvsgesture.
        split: train, test or all.
        folder: what tonic calls `save_to`; `data` in the working folder without one.
        download: whether tonic may download what is not there.

    Raises:
        EventsError: the data set is not there, or its download failed.
    """
    tonic_name, is_there, open_folder = PUBLIC[name]
    place = (folder or DEFAULT_FOLDER).expanduser()
    target = place / tonic_name
    if download:
        for part in ("train", "test"):
            if split in ("all", part):
                _download(tonic_name, place, train=part == "train")
    if not (target.is_dir() and is_there(target)):
        raise EventsError(
            f"{name}: not found in {target}: download it (--download, download=True),"
            " give its folder instead of its name, or use synthetic data"
        )
    return open_folder(target, split)


def _download(tonic_name: str, place: Path, *, train: bool) -> None:
    from tonic import datasets

    try:
        getattr(datasets, tonic_name)(save_to=str(place), train=train)
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EventsError(
            f"{tonic_name}: the download to {place} failed ({reason}): check the network, or"
            " give the folder of a copy"
        ) from error
