"""The files of a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from speckflex._support.files import write_whole
from speckflex.errors import FileFormatError
from speckflex.report.as_csv import render_csv
from speckflex.report.as_json import render_json
from speckflex.report.as_markdown import render_markdown

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["write_report"]


def write_report(report: dict[str, Any], folder: str | Path) -> list[Path]:
    """Write report.json, report.html, report.md and layers.csv; return their paths.

    Raises:
        FileFormatError: the folder can't be written.
    """
    from speckflex.report.as_html import render_html

    renderers: dict[str, Callable[[dict[str, Any]], str]] = {
        "report.json": render_json,
        "report.html": render_html,
        "report.md": render_markdown,
        "layers.csv": render_csv,
    }
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileFormatError(
            f"{folder}: can't be written ({error.strerror}): choose another folder"
        ) from error
    for name, render in renderers.items():
        write_whole(folder / name, render(report), FileFormatError)
    return [folder / name for name in renderers]
