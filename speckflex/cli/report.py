"""`speckflex report`: read a run again, and draw its figures."""

from __future__ import annotations

from pathlib import Path

import click

from speckflex.cli.bars import exit_on_missed
from speckflex.cli.emphasis import echo_report
from speckflex.cli.options import OutFolderType, json_option
from speckflex.cli.unfinished import warn_of_unfinished_runs

__all__ = ["command"]


@click.command("report")
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--figures",
    type=OutFolderType(),
    metavar="FOLDER",
    help="Draw the figures of the run into this folder, as SVG and PDF; needs speckflex[plots].",
)
@click.option(
    "--format",
    "formats",
    type=click.Choice(["svg", "pdf"]),
    multiple=True,
    help="Only this format of the figures; may be given twice. [default: both]",
)
@json_option
def command(run: Path, *, figures: Path | None, formats: tuple[str, ...], as_json: bool) -> None:
    """Show the report of RUN, a folder that `deploy --out` wrote, or draw its figures.

    Exits 4 if the run missed a bar that was stated for it.
    """
    from speckflex.deployment.figures import FORMATS, write_figures
    from speckflex.report import read_report, render_json, render_text

    folder = run if run.is_dir() else run.parent
    file = folder / "report.json" if run.is_dir() else run
    if not file.is_file():
        raise click.UsageError(
            f"{run} holds no report.json: give the folder that speckflex deploy --out wrote"
        )
    warn_of_unfinished_runs([folder])
    report = read_report(file)
    if figures is not None:
        for path in write_figures(folder, figures, formats=formats or FORMATS):
            click.echo(f"written: {path}", err=as_json)
    if as_json:
        click.echo(render_json(report))
    elif figures is None:
        echo_report(render_text(report))
    exit_on_missed(report.missed)
