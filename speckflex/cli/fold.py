"""`speckflex fold`: fold BatchNorm into the weights, without a bias."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from speckflex.cli.options import (
    json_option,
    model_argument,
    model_options,
    out_file_option,
    take_nir_options,
)
from speckflex.cli.progress import stage

if TYPE_CHECKING:
    from pathlib import Path

    from speckflex.networks.fold_report import FoldReport

__all__ = ["command"]


@click.command("fold")
@model_argument
@out_file_option(".pt")
@model_options
@json_option
def command(model: Path, *, out: Path, as_json: bool, **options: Any) -> None:
    """Fold BatchNorm of the network in MODEL into its weights, without a bias.

    Running means and biases are dropped, so the network has other outputs than before. The table
    shows how much was dropped, in firing thresholds; `speckflex finetune` restores the accuracy.
    With --input-shape the command proves that the folded network has the same outputs as the
    network with means and biases set to zero.
    """
    shape = options["input_shape"]
    nir = take_nir_options(options)
    with stage(f"loading {model.name}") as tell:
        from speckflex.networks.files import load_network, save_network
        from speckflex.networks.fold import fold_with_report

        network = load_network(
            model, factory=options["factory"], key=options["key"], input_shape=shape, nir=nir
        )
        tell(f"folding {model.name}")
        folded, report = fold_with_report(network, input_shape=shape)
        save_network(folded, out)
    if as_json:
        result = {"path": str(out), **report.to_dict()}
        click.echo(json.dumps(result, indent=2, allow_nan=False))
        return
    _show(report)
    click.echo(f"written: {out}")


def _show(report: FoldReport) -> None:
    from speckflex.cli.tables import echo_table

    if report.layers:
        columns = ("layer", "norm", "gain from", "to", "dropped mean", "dropped max")
        rows = [
            (
                layer.layer,
                ", ".join(layer.norms) or "only a bias",
                layer.gain_min,
                layer.gain_max,
                layer.dropped_mean,
                layer.dropped_max,
            )
            for layer in report.layers
        ]
        echo_table(columns, rows, title="dropped per time step, in firing thresholds")
    else:
        click.echo("nothing to fold: the network has no BatchNorm and no bias")
    if report.proof_error is not None:
        click.echo(
            "proved: the outputs equal those of the network without means and biases, with a"
            f" relative error of {report.proof_error:.1e}"
        )
