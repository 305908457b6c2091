"""The one place that imports samna: the vendor's binary if installed, else the stand-in."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.metadata
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from speckflex.errors import BoardError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["InstalledSamna", "find_samna", "load_samna", "real_samna_installed"]

# What sinabs 3.1.3 asks for in its requirements; no version was ever run here.
OLDEST_VERSION = (0, 33)


@dataclass(frozen=True)
class InstalledSamna:
    """What is installed under the name samna.

    Args:
        kind: "real" for the vendor's binary; "stub" for the package of that name on the package
            index, whose import runs pip; "missing" if there is neither.
        version: according to its metadata; "" if that has none.
    """

    kind: Literal["real", "stub", "missing"]
    version: str = ""


def find_samna() -> InstalledSamna:
    """Return what is installed, without importing anything.

    Only the vendor's binary has a compiled extension.
    """
    spec = importlib.machinery.PathFinder.find_spec("samna")
    if spec is None:
        return InstalledSamna("missing")
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    suffixes = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    compiled = any(
        path.name.endswith(suffixes)
        for folder in folders
        if folder.is_dir()
        for path in folder.iterdir()
    )
    return InstalledSamna("real" if compiled else "stub", _version())


def real_samna_installed() -> bool:
    """Return whether the vendor's samna is installed, without importing anything."""
    return find_samna().kind == "real"


def load_samna() -> ModuleType:
    """Return samna: the real one if installed, else the stand-in of `speckflex.virtual`.

    A process has only one of them: the one that was loaded first stays.

    Raises:
        BoardError: the vendor's samna is older than what sinabs' backend works with, can't be
            imported, or something else was imported under its name.
    """
    loaded = sys.modules.get("samna")
    if loaded is None:
        return _import_real() if real_samna_installed() else _install_stand_in()
    if not getattr(loaded, "is_speckflex_virtual", False) and not real_samna_installed():
        raise BoardError(
            "samna: the package index's stub was imported in its place: uninstall it"
            " (pip uninstall samna) and start again"
        )
    return loaded


def _import_real() -> ModuleType:
    installed = find_samna()
    numbers = tuple(int(number) for number in re.findall(r"\d+", installed.version)[:2])
    if numbers and numbers < OLDEST_VERSION:
        oldest = ".".join(map(str, OLDEST_VERSION))
        raise BoardError(
            f"samna {installed.version} is installed, sinabs' backend needs {oldest} or newer:"
            " install a newer one from SynSense"
        )
    try:
        return importlib.import_module("samna")
    except ImportError as error:
        raise BoardError(
            f"samna {installed.version} is installed and can't be imported ({error}):"
            " reinstall it for this Python and this machine"
        ) from error


def _install_stand_in() -> ModuleType:
    from speckflex import virtual

    return virtual.register()


def _version() -> str:
    try:
        return importlib.metadata.version("samna")
    except importlib.metadata.PackageNotFoundError:
        return ""
