"""`speckflex finetune`: a bias-free network trained on for the chip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from speckflex.cli.options import model_argument
from speckflex.cli.training_options import method_options, run_training, training_options

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["command"]


@click.command("finetune")
@model_argument
@click.option(
    "--network",
    "factory",
    metavar="NAME|PACKAGE.MODULE:FACTORY",
    help="What builds the network when MODEL holds only a state dict.",
)
@method_options("mtt")
@training_options(epochs=10, learning_rate=1e-3)
def command(model: Path, **options: Any) -> None:
    """Train the bias-free network in MODEL on, by mixed time steps, and write the best epoch.

    Batch norms that are left are locked to their gains and merged at the end.
    """
    from speckflex.training import finetune_network

    def build(dataset: Any) -> Any:
        from speckflex.network import load_network

        return load_network(model, factory=options["factory"], input_shape=dataset.shape)

    run_training(options, build, finetune_network)
