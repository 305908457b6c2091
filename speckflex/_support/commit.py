"""The commits that a result comes from: of this package, and of the user's own folder."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from pathlib import Path

__all__ = ["commit_of_folder", "commit_of_package"]


@lru_cache(maxsize=1)
def commit_of_package() -> str | None:
    """Return the hash of the commit, with "+" behind it if files differ; None in no checkout."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    head = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "speckflex")
    return None if head is None else head + ("+" if changed else "")


def commit_of_folder(folder: Path) -> str | None:
    """Return the commit of a folder, with "+" behind it if files differ; None without git."""
    head = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return None if head is None else head + ("+" if changed else "")


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - fixed words
            ["git", "-C", str(folder), *words],  # noqa: S607 - the user's own git
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
