"""The one place that imports samna: the vendor's binary if installed, else the stand-in."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["load_samna", "real_samna_installed"]


def real_samna_installed() -> bool:
    """Return whether the vendor's samna is installed, without importing anything.

    The package of that name on the package index is a stub: its import runs pip. Only the real
    one has a compiled extension.
    """
    spec = importlib.util.find_spec("samna") if "samna" not in sys.modules else None
    folders = spec.submodule_search_locations if spec else None
    suffixes = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    return any(
        path.name.endswith(suffixes) for folder in folders or () for path in Path(folder).iterdir()
    )


def load_samna() -> ModuleType:
    """Return samna: the real one if installed, else the stand-in of `speckflex.virtual`."""
    if "samna" not in sys.modules and not real_samna_installed():
        from speckflex import virtual

        virtual.install()
    return importlib.import_module("samna")
