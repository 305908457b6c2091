"""`speckflex fold`: BatchNorm goes into the weights, without a bias."""

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

    Running means and biases are dropped, so the network computes something else than before:
    the table says how much was dropped, in firing thresholds, and `speckflex finetune` recovers
    the accuracy. With --input-shape the folded outputs are proved equal to those of the same
    network with means and biases set to zero.
    """
    from speckflex.networks.files import load_network, save_network
    from speckflex.networks.fold import fold_with_report, prove_folding

    shape = options["input_shape"]
    nir = take_nir_options(options)
    network = load_network(model, factory=options["factory"], input_shape=shape, nir=nir)
    folded, report = fold_with_report(network)
    error = prove_folding(network, folded, input_shape=shape) if shape else None
    save_network(folded, out)
    if as_json:
        result = {"path": str(out), "proof_error": error, **report.to_dict()}
        click.echo(json.dumps(result, indent=2, allow_nan=False))
        return
    _show(report, error)
    click.echo(f"written: {out}")


def _show(report: FoldReport, error: float | None) -> None:
    from speckflex.cli.tables import echo_table

    if report.layers:
        columns = ("layer", "norm", "gain from", "to", "dropped mean", "dropped max")
        rows = [
            (
                layer.layer,
                ", ".join(layer.norms) or "bias alone",
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
    if error is not None:
        click.echo(f"proved: outputs equal those without means and biases to {error:.1e}")
