"""`speckflex info`: what a file is, its hash, layers and provenance."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from speckflex.cli.options import existing_file, json_option

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["command"]


@click.command("info")
@click.argument("file", type=existing_file)
@json_option
def command(file: Path, *, as_json: bool) -> None:
    """Say what FILE is: a program, recording, report or network, with its hash and layers.

    Names its versions and provenance, and the cores and thresholds of its layers.
    """
    from speckflex.cli.tables import echo_table
    from speckflex.deployment.describe import describe_file

    facts = describe_file(file)
    if as_json:
        click.echo(json.dumps(facts, indent=2, allow_nan=False))
        return
    layers, provenance = facts.pop("layers"), facts.pop("provenance")
    for name, value in (*facts.items(), *provenance.items()):
        click.echo(f"{name}: {value}")
    if layers:
        columns = list(dict.fromkeys(key for layer in layers for key in layer))
        rows = [[_shown(layer.get(column)) for column in columns] for layer in layers]
        echo_table(columns, rows)


def _shown(value: object) -> object:
    return "x".join(map(str, value)) if isinstance(value, list) else value
