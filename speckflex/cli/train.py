"""`speckflex train`: a spiking network from scratch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from speckflex.cli.training_options import method_options, training_options
from speckflex.cli.training_run import run_training

if TYPE_CHECKING:
    from torch import nn

    from speckflex.data import EventDataset

__all__ = ["command"]


@click.command("train")
@click.option("--network", default="nmnist-3c1fc", show_default=True, help="Name of the network.")
@method_options("sdt")
@training_options(shift=2, clip_weights=True)
@click.option("--width", type=click.IntRange(min=1), help="The most channels. [default: paper's]")
@click.option(
    "--neuron",
    type=click.Choice(["multi-spike", "single-spike"]),
    default="multi-spike",
    show_default=True,
    help="Any number of spikes in a step, or at most one.",
)
@click.option(
    "--lower-bound",
    type=float,
    default=-8.0,
    show_default=True,
    help="Lower bound of the potential, in thresholds (paper: -1); lower: the twin differs less.",
)
@click.option(
    "--voting",
    type=click.Choice(["spikes", "potential"]),
    help="Count the last layer's spikes, or read its potential. [default: the paper's]",
)
@click.option("--batch-norm/--no-batch-norm", default=None, help="[default: the paper's]")
def command(**options: Any) -> None:
    """Train a spiking network on event recordings and write the best epoch.

    A part of the recordings is held out to choose the epoch; a folder Test beside Train is never
    read. A network with batch norm then goes through `speckflex fold` and `speckflex finetune`.
    """
    from speckflex.training import train_network

    run_training(options, lambda dataset: _build(dataset, options), train_network)


def _build(dataset: EventDataset, options: dict[str, Any]) -> nn.Module:
    from speckflex.training.pipeline import bounded_neuron, new_network

    return new_network(
        options["network"],
        seed=options["seed"],
        neuron=bounded_neuron(options["neuron"], options["lower_bound"]),
        width=options["width"],
        voting=options["voting"],
        batch_norm=options["batch_norm"],
        input_shape=dataset.shape,
        n_classes=len(dataset.classes),
    )
