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

__all__ = [
    "OLDEST_VERSION",
    "VERSION_NOTES",
    "InstalledSamna",
    "find_samna",
    "load_samna",
    "real_samna_installed",
]

# samna's change log: StopWatch.start and stop came with 0.39.2, and until 0.39.7 stop started it.
# sinabs 3.1.3 asks for 0.33. No version was ever run here.
OLDEST_VERSION = (0, 39, 8)
# What older versions lack, by the first version that has it (samna's change log).
VERSION_NOTES = {
    (0, 46, 1): "checks the firmware's version when it opens a board",
    (0, 47, 1): "resets the FPGA when it closes a board, so that no event of one session waits for"
    " the next",
    (0, 48, 3): "lets events of the DVS layer reach the cores of a Speck2f without a DVS monitor",
}


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

    @property
    def numbers(self) -> tuple[int, ...]:
        """The first three numbers of the version; () where there are none."""
        return tuple(int(number) for number in re.findall(r"\d+", self.version)[:3])

    @property
    def is_too_old(self) -> bool:
        """Whether the version is older than what boards and sinabs' backend work with."""
        return bool(self.numbers) and self.numbers < OLDEST_VERSION


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
        BoardError: the vendor's samna is too old, can't be imported, or something else was
            imported under its name.
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
    if installed.is_too_old:
        oldest = ".".join(map(str, OLDEST_VERSION))
        raise BoardError(
            f"samna {installed.version} is installed, and speckflex needs {oldest} or newer, whose"
            " stop watch can be stopped: pip install --upgrade samna"
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
