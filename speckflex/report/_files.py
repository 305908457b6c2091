"""The files of a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from speckflex._support.files import write_whole
from speckflex._support.run_folder import RunFolder
from speckflex.errors import FileFormatError
from speckflex.report._as_csv import render_csv, render_samples_csv
from speckflex.report._as_json import from_plain, render_json
from speckflex.report._as_markdown import render_markdown
from speckflex.report.facts import SCHEMA
from speckflex.report.record import Report

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["read_report", "save_report", "write_report"]


def write_report(report: Report, folder: str | Path) -> list[Path]:
    """Write report.json, report.html, report.md, layers.csv and samples.csv; return their paths.

    Raises:
        FileFormatError: the folder or a file can't be written, or another process is writing
            into the folder.
    """
    with RunFolder(folder, FileFormatError) as claimed:
        save_report(report, claimed)
        return claimed.finish()


def save_report(report: Report, folder: RunFolder) -> None:
    """Add the files of a report to a folder that was claimed."""
    from speckflex.report._as_html import render_html

    renderers: dict[str, Callable[[Report], str]] = {
        "report.json": render_json,
        "report.html": render_html,
        "report.md": render_markdown,
        "layers.csv": render_csv,
        "samples.csv": render_samples_csv,
    }
    for name, render in renderers.items():
        folder.write(name, lambda path, r=render: write_whole(path, r(report), FileFormatError))


def read_report(path: str | Path) -> Report:
    """Return the report in a `report.json`, without what its pictures are drawn from.

    Raises:
        FileFormatError: the file is no `report.json`.
    """
    path = Path(path)
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FileFormatError(f"{path}: can't be read as JSON ({error}): check the file") from error
    schema = facts.get("schema") if isinstance(facts, dict) else None
    if type(schema) is int and schema != SCHEMA:
        age = "an older" if schema < SCHEMA else "a newer"
        raise FileFormatError(
            f"{path}: is a report of schema {schema}, written by {age} version of speckflex; this"
            f" version reads schema {SCHEMA}: deploy again with this version, or compare the"
            " recordings beside the report"
        )
    if schema != SCHEMA:
        raise FileFormatError(
            f"{path}: is no report, it has no schema number: give a report.json of speckflex"
        )
    try:
        return from_plain(Report, facts)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise FileFormatError(
            f"{path}: is an incomplete report ({error!r}): give a report.json as it was written"
        ) from error
