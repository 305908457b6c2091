"""Packages that add something to speckflex by entry point, made up and installed for one test."""

import importlib
from pathlib import Path

from speckflex import boards, chips


def install_package(folder: Path, name: str, source: str, entry_points: dict[str, dict[str, str]]):
    """Write a module and its metadata into a folder, as pip would into site-packages.

    Args:
        folder: to be put on `sys.path`.
        name: of the package and its only module.
        source: of the module.
        entry_points: by group, what each name stands for.
    """
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (folder / f"{name}.py").write_text(source, encoding="utf-8")
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    sections = [
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in entries.items())
        for group, entries in entry_points.items()
    ]
    (metadata / "entry_points.txt").write_text("\n".join(sections))


def forget_packages():
    """Let speckflex look again, since packages came or went while it ran."""
    importlib.invalidate_caches()
    boards.family._load.cache_clear()
    chips._added_chip.cache_clear()
