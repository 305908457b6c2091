"""`speckflex compare`: how far recordings differ, and which figures of reports became worse."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from speckflex._support.files import write_whole
from speckflex.cli.bars import exit_on_missed, max_spike_difference_option
from speckflex.cli.emphasis import echo_report, echo_warning
from speckflex.cli.options import existing_file
from speckflex.cli.unfinished import warn_of_unfinished_runs
from speckflex.errors import FileFormatError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.recordings.recording import Recording

__all__ = ["command"]

FORMATS = ("text", "json", "md", "csv", "html")
TRENDS = {".json", ".jsonl"}  # suffixes of what is compared over time


@click.command("compare")
@click.argument("files", type=existing_file, nargs=-1, required=True)
@click.option(
    "--program",
    type=existing_file,
    help="The .speck file that ran: adds memory and synaptic operations to the report, and refuses"
    " recordings of another program.",
)
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to a file instead of standard output.",
)
@max_spike_difference_option
def command(
    files: tuple[Path, ...],
    *,
    program: Path | None,
    form: str,
    as_json: bool,
    out: Path | None,
    max_spike_difference: float | None,
) -> None:
    """Report how far two or three FILES (.h5) differ, layer by layer, or how reports changed.

    Of recordings, the reference is that of the chip if there is one, else that of its twin, else
    the first.

    Of two or more report.json in the order of time, the last is judged against the first: which
    figures became worse beyond what chance or the board itself does (exit 4 if any). Metrics files
    (.jsonl of pytest --board-metrics or train --metrics) are shown over time and not judged.
    """
    form = "json" if as_json else form
    warn_of_unfinished_runs(files)
    kinds = {path.suffix.lower() for path in files}
    if kinds & TRENDS:
        options = {"--program": program, "--max-spike-difference": max_spike_difference}
        _show_trend(
            files, form, out, [name for name, value in options.items() if value is not None]
        )
        return
    _show_difference(files, program, form, out, max_spike_difference)


def _show_trend(files: Sequence[Path], form: str, out: Path | None, unused: list[str]) -> None:
    """Show how the figures of reports, or of metrics files, went over time."""
    kinds = {path.suffix.lower() for path in files}
    if len(kinds) > 1:
        names = ", ".join(sorted(kinds))
        raise click.UsageError(f"files of several kinds ({names}) are given: give one kind")
    if unused:
        raise click.UsageError(f"{unused[0]} is for recordings: leave it out with reports")
    if len(files) < 2:
        raise click.UsageError("compare takes two or more reports, 1 given")
    if len(set(files)) < len(files):
        raise click.UsageError("the same file is given twice: name different files")
    if form == "csv":
        raise click.UsageError("a trend has no CSV: choose text, json, md or html")
    from speckflex.report import read_report, render_trend, trend_of_metrics, trend_of_reports

    if kinds == {".json"}:
        trend = trend_of_reports({str(path): read_report(path) for path in files})
    else:
        trend = trend_of_metrics(files)
    _write(render_trend(trend, form), out, form)
    exit_on_missed(trend.regressions)


def _show_difference(
    recordings: Sequence[Path], program: Path | None, form: str, out: Path | None, bar: float | None
) -> None:
    """Show how far recordings differ, layer by layer."""
    if not 2 <= len(recordings) <= 3:
        raise click.UsageError(f"compare takes two or three recordings, {len(recordings)} given")
    from speckflex import report as reports
    from speckflex.program.program import Program
    from speckflex.recordings.recording import Recording
    from speckflex.report.bars import Bars
    from speckflex.report.build import report_of
    from speckflex.report.evidence import gather_evidence

    loaded = _by_role(recordings, [Recording.load(path) for path in recordings])
    if len({recording.provenance.program_sha256 for recording in loaded.values()}) > 1:
        echo_warning("the recordings are of different programs")
    evidence = gather_evidence(Program.load(program) if program else None, loaded)
    command = " ".join(["speckflex", *sys.argv[1:]])
    report = report_of(replace(evidence, command=command, bars=Bars(bar)))
    renderer = getattr(reports, {"md": "render_markdown"}.get(form, f"render_{form}"))
    _write(renderer(report), out, form)
    exit_on_missed(report.missed)


def _by_role(paths: Sequence[Path], loaded: Sequence[Recording]) -> dict[str, Recording]:
    """Name recordings by the kind of their board, or by their files if a kind occurs twice."""
    if len(set(paths)) < len(paths):
        raise click.UsageError("the same recording is given twice: name different files")
    kinds = ["chip" if r.provenance.kind == "virtual" else r.provenance.kind for r in loaded]
    distinct = len(set(kinds)) == len(kinds) and set(kinds) <= {"torch", "twin", "chip"}
    names = kinds if distinct else [str(path) for path in paths]
    return dict(zip(names, loaded, strict=True))


def _write(text: str, out: Path | None, form: str) -> None:
    if out is None:
        show = echo_report if form == "text" else click.echo
        show(text.rstrip("\n"))
        return
    write_whole(out, text, FileFormatError)
    click.echo(f"written: {out}")
