"""`speckflex finetune`: a bias-free network trained on for the chip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from speckflex.cli.options import (
    model_argument,
    nir_options,
    take_nir_options,
    weights_options,
)
from speckflex.cli.progress import stage
from speckflex.cli.training_options import board_options, method_options, training_options
from speckflex.cli.training_outlook import Outlook
from speckflex.cli.training_recipes import recipe_options
from speckflex.cli.training_run import run_training

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

    from speckflex.training import FrameSet, TrainingResult

__all__ = ["command"]

# Where spikes have no price. The rate of the board was measured with its price only.
LOW_RATE = 1e-3


@click.command("finetune")
@model_argument
@weights_options
@nir_options
@recipe_options("finetuning")
@method_options("board")
@board_options(sparse_epochs=3)
@click.option(
    "--vote-by-spikes",
    is_flag=True,
    help="Put a neuron behind a last layer that is read by potential.",
)
@training_options(
    epochs=10, learning_rate=3e-3, augment="shift:2", clip_weights=None, clip_gradient=1.0
)
def command(model: Path, **options: Any) -> None:
    """Fine-tune the bias-free network in MODEL for the chip and write the best epoch.

    With method board, the default, the board itself plays each batch on the 8-bit program of the
    moment, and its spikes are what the loss is computed from. MODEL must be trained for it, and
    operations have a small price; some epochs in torch make MODEL sparse first. Without a price,
    as with the other methods, the learning rate begins at 0.001. The gains of remaining batch norms
    are merged into the weights: before the training with method board, at the end with the others.
    """
    with stage(f"loading {model.name}"):
        network, trainer = _load(model, options)
    if options["clip_weights"] is None:
        # with a board in the loop clipping costs accuracy (examples/nmnist)
        options["clip_weights"] = options["method"] != "board"
    if options["method"] == "board":
        _take_session(options)
    has_price = options["method"] == "board" and options["synops_weight"] != 0
    if not has_price and _is_default("learning_rate"):
        options["learning_rate"] = LOW_RATE
    # known from the start, so that a checkpoint of another training is refused early
    options["batch_norm_mode"] = "locked"
    run_training(options, lambda _dataset: network, trainer, measure=_outlook)


def _take_session(options: dict[str, Any]) -> None:
    """Take what a recorded session needs as defaults, where it is the board."""
    from speckflex.training.on_board.session import ONE_STEP, is_recorded

    if not is_recorded(options["board"]):
        return
    wanted = {**ONE_STEP, "learning_rate": LOW_RATE}
    options.update({name: value for name, value in wanted.items() if _is_default(name)})


def _is_default(name: str) -> bool:
    """Return whether the user has not given an option of this command."""
    source = click.get_current_context().get_parameter_source(name)
    return source is ParameterSource.DEFAULT


def _load(path: Path, options: dict[str, Any]) -> tuple[nn.Module, Callable[..., TrainingResult]]:
    """Return the network in the form that is trained, and what trains it."""
    from speckflex.networks.files import load_network
    from speckflex.training import finetune_network
    from speckflex.training.pipeline import add_voting_neuron, merge_network
    from speckflex.training.suitability import check_bias_free

    network = load_network(
        path,
        factory=options["factory"],
        key=options["key"],
        nir=take_nir_options(options),
    )
    check_bias_free(network)
    if options["vote_by_spikes"]:
        network = add_voting_neuron(network)
    if options["method"] == "board":
        network = merge_network(network)
    return network, finetune_network


def _outlook(before: nn.Module, after: nn.Module, recordings: FrameSet) -> Outlook:
    """Return what a fine-tuning won on the twin, and what is left to win."""
    from speckflex.deployment.next_step import measure_losses
    from speckflex.networks.spiking import spiking_network
    from speckflex.training.gain import measure_gain
    from speckflex.training.on_board.board_loop import events_of

    gain = measure_gain(before, after, recordings)
    losses = measure_losses(
        spiking_network(after), events_of(recordings), recordings.frames.shape[1]
    )
    return Outlook(gain, losses)
