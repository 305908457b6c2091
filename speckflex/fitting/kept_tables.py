"""Tables of `speckflex check` that are kept, so that an unchanged network is not loaded again."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speckflex._support.files import hash_file, write_whole
from speckflex.errors import FileFormatError
from speckflex.fitting.check import CheckTable, LayerCost
from speckflex.fitting.checks import Check

if TYPE_CHECKING:
    from collections.abc import Mapping

    from speckflex.chips import Chip

__all__ = ["KeptTable"]

FOLDER = "SPECKFLEX_CACHE"  # variable that names another folder; where it is empty nothing is kept
# Files that hold all of their network, and take long to load.
SUFFIXES = (".pt", ".pth")
DECIDE = ("torch", "sinabs", "numpy")  # packages whose versions may change a table
PACKAGE = Path(__file__).resolve().parents[1]
MOST = 100  # tables; the oldest goes


@dataclass(frozen=True)
class KeptTable:
    """Where the table of one file is kept, under one set of choices.

    Args:
        path: of the table; None where none is kept.
    """

    path: Path | None

    @classmethod
    def of(cls, model: Path, chip: Chip, choices: Mapping[str, Any]) -> KeptTable:
        """Return the place of a table.

        It has its name from all that decides what the table says: the content of the file and its
        path, the choices, this package's source, and the versions of the packages below it.

        Args:
            model: the network's file.
            chip: what is checked for.
            choices: what was asked, by name.
        """
        folder, content = _folder(), hash_file(model) if model.suffix.lower() in SUFFIXES else ""
        if folder is None or not content:
            return cls(None)
        decisive = [content, str(model), chip, sorted(choices.items()), _source(), _versions()]
        name = hashlib.sha256(repr(decisive).encode()).hexdigest()
        return cls(folder / f"{name}.json")

    def read(self) -> CheckTable | None:
        """Return the table, without its program; None if there is none that is whole."""
        if self.path is None:
            return None
        try:
            plain = json.loads(self.path.read_bytes())
            layers = tuple(LayerCost(**_with_tuples(layer)) for layer in plain["layers"])
            checks = tuple(Check(**check) for check in plain["checks"])
            return CheckTable(str(plain["chip"]), layers, checks)
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def write(self, table: CheckTable) -> None:
        """Keep a table; a folder that can't be written is no error."""
        if self.path is None:
            return
        with suppress(OSError, FileFormatError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, json.dumps(table.to_dict()).encode(), FileFormatError)
            kept = sorted(self.path.parent.glob("*.json"), key=lambda path: path.stat().st_mtime)
            for oldest in kept[:-MOST]:
                oldest.unlink(missing_ok=True)


def _folder() -> Path | None:
    stated = os.environ.get(FOLDER)
    if stated is not None:
        return Path(stated) / "checks" if stated else None
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # there is no home
        return None
    return home / "speckflex" / "checks"


def _source() -> list[tuple[str, int, int]]:
    """Return size and time of each module, which a changed checkout does not share."""
    found = ((path, path.stat()) for path in sorted(PACKAGE.rglob("*.py")))
    return [(str(path), stat.st_size, stat.st_mtime_ns) for path, stat in found]


def _versions() -> list[str]:
    found = []
    for package in DECIDE:
        with suppress(PackageNotFoundError):
            found.append(f"{package} {version(package)}")
    return found


def _with_tuples(layer: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in layer.items()
    }
