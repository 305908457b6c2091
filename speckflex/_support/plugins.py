"""What installed packages add to speckflex, by entry point."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from speckflex._support.text import first_line
from speckflex.errors import SpeckflexError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["entry_names", "find_each", "load_entry"]

logger = logging.getLogger("speckflex")

Plugin = TypeVar("Plugin")


def entry_names(group: str) -> list[str]:
    """Return the names in a group of entry points, without loading what they name."""
    from importlib.metadata import entry_points

    return sorted({entry.name for entry in entry_points(group=group)})


def load_entry(group: str, name: str, kind: type[Plugin], error: type[SpeckflexError]) -> Plugin:
    """Return what an entry point names.

    Args:
        group: of entry points.
        name: the entry point's; the object must carry the same `name`.
        kind: the class that the object must have.
        error: the class to raise.

    Raises:
        LookupError: no installed package has such an entry point.
        SpeckflexError: of the class `error`: the object can't be imported, or is not what the
            group is for.
    """
    from importlib.metadata import entry_points

    entry = next(iter(entry_points(group=group, name=name)), None)
    if entry is None:
        raise LookupError(name)
    try:
        found = entry.load()
    except (ImportError, AttributeError) as problem:
        raise error(
            f"entry point {name!r} of {group} can't be loaded from {entry.value}"
            f" ({first_line(problem)}): repair or uninstall the package that has it"
        ) from problem
    if not isinstance(found, kind) or getattr(found, "name", None) != name:
        raise error(
            f"entry point {name!r} of {group} names {entry.value}, which is no"
            f" {kind.__name__} of the name {name!r}: correct it in the package that has it"
        )
    return found


def find_each(names: Iterable[str], find: Callable[[str], Plugin]) -> tuple[Plugin, ...]:
    """Return what `find` returns for each name; log a warning for each name that it refuses.

    So that one broken package does not hide all others.
    """
    found = (_find_or_warn(name, find) for name in names)
    return tuple(item for item in found if item is not None)


def _find_or_warn(name: str, find: Callable[[str], Plugin]) -> Plugin | None:
    try:
        return find(name)
    except SpeckflexError as error:
        logger.warning("%s", error)
        return None
