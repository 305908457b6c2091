"""`speckflex convert`: a network becomes a `.speck` program."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from speckflex.cli.options import (
    chip_option,
    json_option,
    model_argument,
    model_options,
    out_file_option,
)

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["command"]


@click.command("convert")
@model_argument
@out_file_option(".speck")
@model_options
@chip_option
@json_option
def command(model: Path, *, out: Path, as_json: bool, **options: Any) -> None:
    """Convert the network in MODEL to the chip's integers and write them to a .speck file."""
    from speckflex.model import read_model

    if model.suffix.lower() == ".speck":
        raise click.UsageError(f"{model} is a program already: give the network it was made of")
    converted = read_model(model, **options)
    converted.program.save(out)
    checks = [check for check in converted.checks if check.severity != "note"]
    if as_json:
        result = {
            "path": str(out),
            "sha256": converted.program.sha256,
            "layers": len(converted.program.cores),
            "checks": [check.to_dict() for check in converted.checks],
        }
        click.echo(json.dumps(result, indent=2, allow_nan=False))
        return
    for check in checks:
        click.echo(f"{check.severity}: {check.sentence}", err=True)
    click.echo(f"{len(converted.program.cores)} layers -> {out} ({converted.program.sha256[:12]})")
