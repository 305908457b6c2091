"""`speckflex compare`: how far the spikes of two or three recordings differ."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from speckflex._support.files import write_whole
from speckflex.cli.bars import exit_on_missed, max_spike_difference_option
from speckflex.cli.options import existing_file
from speckflex.errors import FileFormatError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.recordings.recording import Recording

__all__ = ["command"]

FORMATS = ("text", "json", "md", "csv", "html")


@click.command("compare")
@click.argument("recordings", type=existing_file, nargs=-1, required=True)
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
    recordings: tuple[Path, ...],
    *,
    program: Path | None,
    form: str,
    as_json: bool,
    out: Path | None,
    max_spike_difference: float | None,
) -> None:
    """Report how far two or three RECORDINGS (.h5) differ, layer by layer.

    The reference is the recording of the chip if there is one, else that of its twin, else the
    first.
    """
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
        click.echo("warning: the recordings are of different programs", err=True)
    evidence = gather_evidence(Program.load(program) if program else None, loaded)
    command = " ".join(["speckflex", *sys.argv[1:]])
    report = report_of(replace(evidence, command=command, bars=Bars(max_spike_difference)))
    form = "json" if as_json else form
    renderer = getattr(reports, {"md": "render_markdown"}.get(form, f"render_{form}"))
    _write(renderer(report), out)
    exit_on_missed(report.missed)


def _by_role(paths: Sequence[Path], loaded: Sequence[Recording]) -> dict[str, Recording]:
    """Name recordings by the kind of their board, or by their files if a kind occurs twice."""
    if len(set(paths)) < len(paths):
        raise click.UsageError("the same recording is given twice: name different files")
    kinds = ["chip" if r.provenance.kind == "virtual" else r.provenance.kind for r in loaded]
    distinct = len(set(kinds)) == len(kinds) and set(kinds) <= {"torch", "twin", "chip"}
    names = kinds if distinct else [str(path) for path in paths]
    return dict(zip(names, loaded, strict=True))


def _write(text: str, out: Path | None) -> None:
    if out is None:
        click.echo(text.rstrip("\n"))
        return
    write_whole(out, text, FileFormatError)
    click.echo(f"written: {out}")
