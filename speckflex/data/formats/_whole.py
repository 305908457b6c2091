"""Files of one format as a data set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speckflex.data.dataset import UNKNOWN, EventDataset
from speckflex.errors import EventsError
from speckflex.events.streams import MOST_CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from speckflex.data.formats._file_format import FileFormat
    from speckflex.data.formats._reading import Reading

__all__ = ["dataset_of"]


def dataset_of(
    name: str,
    file_format: FileFormat,
    paths: Sequence[Path],
    reading: Reading,
    *,
    label_of: Callable[[Path], int] | None = None,
    classes: Sequence[str] = (),
) -> EventDataset:
    """Return the recordings of files of one format.

    Args:
        name: of the data set.
        file_format: of all files.
        paths: the files.
        reading: what the files leave open.
        label_of: returns the class of a file's recordings; None for the labels in the files.
        classes: the names of the classes, where `label_of` is given.

    Raises:
        EventsError: a file is damaged, or leaves open what `reading` does not say.
    """
    read = file_format.reader(reading, paths[0])
    contents, owners = file_format.contents(paths, reading)
    labels = contents.labels or [UNKNOWN] * len(owners)
    largest = max(labels, default=UNKNOWN)
    if largest >= MOST_CLASSES:
        raise EventsError(
            f"{name}: has the label {largest}, at most {MOST_CLASSES - 1} is read: number the"
            " classes from 0 on"
        )
    names = contents.classes or tuple(map(str, range(largest + 1)))
    if label_of is not None:
        labels, names = [label_of(path) for path in owners], tuple(classes)
    return EventDataset(
        name=name,
        shape=file_format.shape(contents, reading, paths[0]),
        classes=names,
        labels=np.array(labels, np.int64),
        synthetic=False,
        items=contents.items,
        read=read,
        shape_stated=contents.shape is not None or reading.sensor is not None,
    )
