"""`speckflex merge`: one report on the shards of a deployment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from speckflex._support.run_folder import RunFolder
from speckflex.cli.bars import exit_on_missed
from speckflex.cli.emphasis import echo_report
from speckflex.cli.options import json_option, out_folder_option
from speckflex.cli.progress import stage
from speckflex.errors import FileFormatError

if TYPE_CHECKING:
    from speckflex.deployment.shards import MergedShards

__all__ = ["command"]


@click.command("merge")
@click.argument(
    "shards",
    metavar="DIR...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, path_type=Path),
)
@out_folder_option
@json_option
def command(shards: tuple[Path, ...], **options: Any) -> None:
    """Make the one report on the shards that speckflex deploy --shard wrote to DIR.

    DIR is a folder or a file of a shard. Shards may still be missing, or play: the report is then
    on the samples that are there, and says so. The limits that were given to deploy hold here
    (exit 4).
    """
    from speckflex.deployment.shards import merge_shards
    from speckflex.report import render_json, render_text

    with stage("adding up the shards"):
        merged = merge_shards(shards)
    click.echo(_coverage(merged), err=options["as_json"])
    deployment = merged.deployment
    if options["out"]:
        with stage("writing the report"), RunFolder(options["out"], FileFormatError) as folder:
            deployment.save(folder)
    if options["as_json"]:
        click.echo(render_json(deployment.report))
    else:
        echo_report(render_text(deployment.report))
        if options["out"]:
            click.echo(f"written: {options['out']}")
    exit_on_missed(deployment.report.missed)


def _coverage(merged: MergedShards) -> str:
    """Return which shards and samples there are."""
    there = merged.count - len(merged.missing)
    words = f"shards: {there} of {merged.count}"
    if merged.partly:
        words += f", {len(merged.partly)} of them not played to the end"
    samples = merged.deployment.report.samples
    if samples < merged.samples:
        words += f"; {samples} of {merged.samples} samples"
    return words
