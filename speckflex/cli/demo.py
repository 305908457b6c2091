"""`speckflex demo`: deploy the bundled network on synthetic digits and write a report."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

import click

from speckflex.cli.deploy import command as deploy_command
from speckflex.cli.options import OutFolderType, json_option

__all__ = ["command"]

BUNDLED = "synthetic-digits.pt"


@click.command("demo")
@click.option(
    "-o",
    "--out",
    type=OutFolderType(),
    default=Path("demo"),
    show_default=True,
    help="Folder for program, recordings and report.",
)
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Number of recordings to play.",
)
@json_option
@click.pass_context
def command(context: click.Context, *, out: Path, samples: int, as_json: bool) -> None:
    """Deploy the bundled network on the twin with synthetic digits, and write a report.

    This project trained the network on other synthetic digits. No chip is needed.
    """
    with as_file(files("speckflex") / "models" / BUNDLED) as model:
        context.invoke(
            deploy_command,
            model=model,
            board="twin",
            data="synthetic-digits",
            samples=samples,
            out=out,
            as_json=as_json,
        )
    if not as_json:
        click.echo(f"open {out / 'report.html'} in a browser to see which spikes differ")
