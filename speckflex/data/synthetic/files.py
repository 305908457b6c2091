"""Simulated recordings as files, each folder with a mark that says so."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from speckflex.data._folders import MARK
from speckflex.errors import EventsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import numpy as np

__all__ = ["write_split"]

Item = TypeVar("Item")


def write_split(
    folder: Path,
    settings: dict[str, Any],
    recordings: Iterable[tuple[str, Item]],
    simulate: Callable[[Item], np.ndarray],
    write: Callable[[Path, np.ndarray], None],
) -> None:
    """Write simulated recordings, unless all of them are there with the same settings.

    Args:
        folder: where to write.
        settings: what the recordings depend on, kept in the folder's mark.
        recordings: the path of each inside `folder`, and what `simulate` takes for it.
        simulate: returns the events of a recording.
        write: writes events to a file.

    Raises:
        EventsError: the folder can't be written to.
    """
    mark = folder / MARK
    with suppress(OSError, ValueError):  # no mark, or a damaged one: write everything
        if json.loads(mark.read_text(encoding="utf-8")) == settings:
            return
    try:
        for name, item in recordings:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, simulate(item))
        # Last, so that a folder that is not complete has no mark and is written again.
        text = json.dumps(settings, indent=2, sort_keys=True) + "\n"
        mark.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EventsError(
            f"{folder}: can't be written ({error.strerror or error}): choose another folder"
        ) from error
