"""`speckflex check`: what a network costs on the chip, before anyone uploads."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from speckflex.cli.options import chip_option, json_option, model_argument, model_options

if TYPE_CHECKING:
    from speckflex.check import CheckTable, LayerCost

__all__ = ["command"]


@click.command("check")
@model_argument
@model_options
@chip_option
@click.option(
    "--diagram",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw the layers on their cores into this SVG file.",
)
@json_option
def command(model: Path, *, diagram: Path | None, as_json: bool, **options: Any) -> None:
    """Say whether the network in MODEL fits the chip, layer by layer, and what is in the way.

    Exits 1 where it does not fit.
    """
    from speckflex.model import check_model

    table = check_model(model, **options)
    if diagram is not None:
        _draw(diagram, model, options if not table.errors else {**options, "chip": "unbounded"})
    if as_json:
        click.echo(json.dumps(table.to_dict(), indent=2, allow_nan=False))
    else:
        _show(table)
    if table.errors:
        sys.exit(1)


def _draw(diagram: Path, model: Path, options: dict[str, Any]) -> None:
    """Write the drawing; a network that does not fit is drawn without its cores."""
    from speckflex.model import read_model
    from speckflex.report.network_diagram import write_network_diagram

    write_network_diagram(read_model(model, **options).program, diagram)


def _show(table: CheckTable) -> None:
    from speckflex.cli.tables import echo_table

    columns = ("layer", "core", "kernel words", "neuron words", "bias words", "fits cores")
    rows = [
        (
            layer.name,
            layer.core,
            *(f"{need} of {have}" for need, have in _needs(layer)),
            " ".join(map(str, layer.fitting_cores)) or "none",
        )
        for layer in table.layers
    ]
    if rows:
        echo_table(columns, rows, title=f"on {table.chip}")
    for check in table.checks:
        click.echo(f"{check.severity}: {check.sentence}")
    if not table.errors:
        click.echo(f"fits {table.chip}")


def _needs(layer: LayerCost) -> list[tuple[int, int | str]]:
    """Return (need, have) words of the kernel, neuron and bias memories."""
    needs = (layer.kernel_words, layer.neuron_words, layer.bias_words)
    return list(zip(needs, layer.holds or ("-", "-", "-"), strict=True))
