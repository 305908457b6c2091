"""A warning where files lie in the folder of a run that has not come to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speckflex._support.run_folder import unfinished
from speckflex.cli.emphasis import echo_warning

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["warn_of_unfinished_runs"]


def warn_of_unfinished_runs(paths: Iterable[Path]) -> None:
    """Print a warning for each folder whose run was ended, or is being written.

    Args:
        paths: of folders, or of files in them.
    """
    folders = dict.fromkeys(path if path.is_dir() else path.parent for path in paths)
    for folder in folders:
        if problem := unfinished(folder):
            echo_warning(problem)
