"""The files of a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from speckflex._support.files import write_whole
from speckflex._support.reading import parse_json, read_file
from speckflex._support.run_folder import RunFolder
from speckflex.errors import FileFormatError
from speckflex.report._as_csv import render_csv, render_samples_csv
from speckflex.report._as_json import from_plain, render_json
from speckflex.report._as_markdown import render_markdown
from speckflex.report.facts import SCHEMA
from speckflex.report.record import Report
from speckflex.report.trend import trend_of_reports

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["read_report", "save_report", "write_report"]


# What facts of other types, or facts that miss each other, raise.
INCOMPLETE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, StopIteration)


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
    content = read_file(path, FileFormatError, "give a report.json of speckflex")
    try:
        facts = parse_json(content)
    except ValueError as error:
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
        report = from_plain(Report, facts)
        # facts that name each other, such as roles and layers, must be there to be shown
        render_markdown(report)
        trend_of_reports({"before": report, "after": report})
    except INCOMPLETE as error:
        raise FileFormatError(
            f"{path}: is an incomplete report ({error!r}): give a report.json as it was written"
        ) from error
    return report
