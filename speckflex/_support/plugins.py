"""What installed packages add to speckflex, by entry point."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from speckflex._support.text import first_line

if TYPE_CHECKING:
    from speckflex.errors import SpeckflexError

__all__ = ["entry_names", "load_entry"]

Plugin = TypeVar("Plugin")


def entry_names(group: str) -> list[str]:
    """Return the names in a group of entry points, without loading what they name."""
    from importlib.metadata import entry_points

    return sorted({entry.name for entry in entry_points(group=group)})


def load_entry(
    group: str, name: str, kind: type[Plugin], error: type[SpeckflexError]
) -> Plugin | None:
    """Return what an entry point names; None where no installed package has such an entry point.

    Args:
        group: of entry points.
        name: the entry point's; the object must carry the same `name`.
        kind: the class that the object must have.
        error: the class to raise.

    Raises:
        SpeckflexError: of the class `error`: the object can't be imported, or is not what the
            group is for.
    """
    from importlib.metadata import entry_points

    entry = next(iter(entry_points(group=group, name=name)), None)
    if entry is None:
        return None
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
