"""`speckflex info`: what a file is, its hash, layers and provenance."""

from __future__ import annotations

import json
from pathlib import Path

import click

from speckflex._support.text import printable
from speckflex.cli.options import json_option
from speckflex.cli.progress import stage
from speckflex.cli.unfinished import warn_of_unfinished_runs

__all__ = ["command"]


@click.command("info")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@json_option
def command(file: Path, *, as_json: bool) -> None:
    """Say what FILE is, with its hash, layers and provenance.

    FILE is a program, a recording, a report, a network or its weights, a checkpoint or the metrics
    of a training, metrics of the pytest plugin, what was probed on a board, a shard of a
    deployment, or the folder of a run. Names its versions, and the cores and thresholds of its
    layers.
    """
    warn_of_unfinished_runs([file])
    with stage(f"loading {file.name}"):
        from speckflex.cli.tables import echo_table
        from speckflex.deployment.describe import describe_file

        facts = describe_file(file)
    if as_json:
        click.echo(json.dumps(facts, indent=2, allow_nan=False))
        return
    layers, provenance = facts.pop("layers"), facts.pop("provenance")
    for name, value in (*facts.items(), *provenance.items()):
        for line in _lines(name, value):
            click.echo(printable(line))
    if layers:
        columns = list(dict.fromkeys(key for layer in layers for key in layer))
        rows = [[_shown(layer.get(column)) for column in columns] for layer in layers]
        echo_table(columns, rows)


def _lines(name: str, value: object) -> list[str]:
    """Return a fact as it is shown; a mapping or a list with a line for each entry."""
    if isinstance(value, dict):
        return [f"{name}:", *(f"  {key}: {entry}" for key, entry in value.items())]
    if isinstance(value, list):
        return [f"{name}:", *(f"  {entry}" for entry in value)] if value else []
    return [f"{name}: {'-' if value is None else value}"]


def _shown(value: object) -> object:
    if isinstance(value, list):
        return "x".join(map(str, value))
    return printable(value) if isinstance(value, str) else value
