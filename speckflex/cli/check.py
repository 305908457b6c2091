"""`speckflex check`: what a network costs on the chip, before anyone uploads."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from speckflex.cli.options import chip_option, json_option, model_argument, model_options

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["command"]


@click.command("check")
@model_argument
@model_options
@chip_option
@json_option
def command(model: Path, *, as_json: bool, **options: Any) -> None:
    """Say whether the network in MODEL fits the chip, layer by layer, and what is in the way.

    Exits 1 where it does not fit.
    """
    from speckflex.check import check_model

    table = check_model(model, **options)
    if as_json:
        click.echo(json.dumps(table.to_dict(), indent=2, allow_nan=False))
    else:
        _show(table.to_dict())
    if not table.fits:
        sys.exit(1)


def _show(table: dict[str, Any]) -> None:
    from speckflex.cli.tables import echo_table

    layers = table["layers"]
    if layers:
        columns = list(layers[0])
        echo_table([c.replace("_", " ") for c in columns], [list(la.values()) for la in layers])
    for check in table["checks"]:
        click.echo(f"{check['severity']}: {check['message']}")
