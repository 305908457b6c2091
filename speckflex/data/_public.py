"""The public data sets by name, as tonic stores and, on request, downloads them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from speckflex._support.extras import need_modules
from speckflex._support.text import first_line
from speckflex.data.formats.dvs_gesture import is_gesture_folder, open_gesture_folder
from speckflex.data.formats.nmnist import is_nmnist_folder, open_nmnist_folder
from speckflex.errors import EventsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from speckflex.data.dataset import EventDataset

__all__ = ["PUBLIC", "open_public"]

DEFAULT_FOLDER = Path("data")  # as in tonic's own examples


class PublicDataset(NamedTuple):
    """A data set that tonic can download.

    Attributes:
        tonic_class: the name of its class in `tonic.datasets`, and of its folder.
        recognises: returns whether a folder holds it.
        open: returns the recordings of a split of its folder.
    """

    tonic_class: str
    recognises: Callable[[Path], bool]
    open: Callable[[Path, str], EventDataset]


PUBLIC = {
    "nmnist": PublicDataset("NMNIST", is_nmnist_folder, open_nmnist_folder),
    "dvsgesture": PublicDataset("DVSGesture", is_gesture_folder, open_gesture_folder),
}


def open_public(
    name: str, split: str, *, folder: Path | None = None, download: bool = False
) -> EventDataset:
    """Return a public data set from the folder where tonic keeps it.

    Args:
        name: nmnist or dvsgesture.
        split: train, test or all.
        folder: what tonic calls `save_to`; by default `data` in the working folder.
        download: whether tonic may download what is not there.

    Raises:
        EventsError: the data set is not there, or its download failed.
    """
    public = PUBLIC[name]
    place = (folder or DEFAULT_FOLDER).expanduser()
    target = place / public.tonic_class
    if download:
        for part in ("train", "test"):
            if split in ("all", part):
                _download(public.tonic_class, place, train=part == "train")
    if not (target.is_dir() and public.recognises(target)):
        raise EventsError(
            f"{name}: not found in {target}: download it (--download, download=True),"
            " give its folder instead of its name, or use synthetic data"
        )
    return public.open(target, split)


def _download(tonic_class: str, place: Path, *, train: bool) -> None:
    need_modules("tonic", work=f"{tonic_class}: a download")
    from tonic import datasets

    try:
        getattr(datasets, tonic_class)(save_to=str(place), train=train)
    except (OSError, RuntimeError, ValueError) as error:
        raise EventsError(
            f"{tonic_class}: the download to {place} failed ({first_line(error)}): check the"
            " network, or give the folder of a copy"
        ) from error
