"""`speckflex train`: a spiking network from scratch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from speckflex.cli.training_options import method_options, training_options
from speckflex.cli.training_recipes import recipe_options
from speckflex.cli.training_run import run_training
from speckflex.errors import EventsError

if TYPE_CHECKING:
    from torch import nn

    from speckflex.data import EventDataset, ImageDataset
    from speckflex.networks.time_stepped import TimeSteppedFactory

__all__ = ["build_network", "command"]


def _take_network(context: click.Context, _: click.Parameter, text: str) -> str:
    """Let a time-stepped network's own settings be the defaults of the training."""
    factory = _time_stepped(text)
    if factory is not None:
        # the options of a file come first
        context.default_map = {**factory.training_defaults, **(context.default_map or {})}
    return text


def _time_stepped(text: str) -> TimeSteppedFactory | None:
    """Return the time-stepped network that a text names, without torch where it names none."""
    name = text.strip().partition(" ")[0]
    if not name.endswith("-lif"):
        return None
    from speckflex.networks.time_stepped import TIME_STEPPED

    return TIME_STEPPED.get(name)


@click.command("train")
@click.option(
    "--network",
    default="nmnist-3c1fc",
    show_default=True,
    is_eager=True,
    callback=_take_network,
    help="A name of speckflex, or a function that builds the network, with its arguments, such as"
    ' "mymod:make width=16". A function that has arguments input_shape or n_classes is given those'
    " of the recordings.",
)
@recipe_options("training")
@method_options("sdt")
@training_options(augment="shift:2", clip_weights=True, clip_gradient=1.0)
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
    default=-1.0,
    show_default=True,
    help="Lower bound of the potential, in thresholds (paper: -1). With -8 the twin differs less"
    " before speckflex finetune, and is less often right after it.",
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
    Networks whose name ends in -lif leak: they run in time steps in torch only, never on the chip.
    """
    from speckflex.training import train_network

    run_training(options, lambda dataset: build_network(dataset, options), train_network)


def _build_time_stepped(
    factory: TimeSteppedFactory, dataset: EventDataset | ImageDataset, options: dict[str, Any]
) -> nn.Module:
    """Return a time-stepped network for images or for events, whichever it takes."""
    from speckflex.data import ImageDataset
    from speckflex.networks.time_stepped import TIME_STEPPED

    if factory.pixels != isinstance(dataset, ImageDataset):
        fitting = [n for n, other in TIME_STEPPED.items() if other.pixels != factory.pixels]
        takes, has = ("images", "events") if factory.pixels else ("events", "images")
        raise EventsError(
            f"network {factory.name} takes {takes}, and {dataset.name} has {has}: choose"
            f" {' or '.join(fitting)}, or other data"
        )
    of_the_chip = tuple(option for option in BUILT_IN_OPTIONS if option != "width")
    _refuse_built_in_options(factory.name, of_the_chip, "networks for the chip")
    return _own_network(
        options, width=options["width"], input_shape=dataset.shape, n_classes=len(dataset.classes)
    )


# They describe the networks of speckflex, not those of a user's function.
BUILT_IN_OPTIONS = ("width", "neuron", "lower_bound", "voting", "batch_norm")


def build_network(dataset: EventDataset | ImageDataset, options: dict[str, Any]) -> nn.Module:
    """Return the network that the options name, for the sensor and the classes of recordings."""
    from speckflex.data import ImageDataset
    from speckflex.networks.factories import parse_factory
    from speckflex.networks.paper import NETWORKS
    from speckflex.training.pipeline import bounded_neuron, new_network

    if not dataset.shape_stated:
        raise EventsError(
            f"{dataset.name}: its recordings do not state the size of their sensor, which decides"
            " the input of a new network: give --sensor"
        )
    factory, time_stepped = parse_factory(options["network"]), _time_stepped(options["network"])
    if time_stepped is not None:
        return _build_time_stepped(time_stepped, dataset, options)
    shape, n_classes = dataset.shape, len(dataset.classes)
    if ":" not in factory.name and factory.name not in NETWORKS:
        return _own_network(options)  # whose message has all names
    if ":" in factory.name:
        _refuse_built_in_options(factory.name, BUILT_IN_OPTIONS, "networks of speckflex")
        return _own_network(options, input_shape=shape, n_classes=n_classes)
    if isinstance(dataset, ImageDataset):
        raise EventsError(
            f"network {factory.name} takes events, and {dataset.name} has images: choose a"
            " time-stepped network such as resnet18-lif, or make recordings of the images with"
            " speckflex.data.simulate_image"
        )
    choices: dict[str, Any] = {
        "neuron": bounded_neuron(options["neuron"], options["lower_bound"]),
        "width": options["width"],
        "voting": options["voting"],
        "batch_norm": options["batch_norm"],
        "input_shape": shape,
        "n_classes": n_classes,
    }
    return new_network(factory.name, seed=options["seed"], **{**choices, **factory.arguments})


def _own_network(options: dict[str, Any], **offered: Any) -> nn.Module:
    """Return the network of a user's function, its weights drawn from the seed."""
    import torch

    from speckflex.networks.factories import network_from_factory
    from speckflex.networks.files import check_saved_whole

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options["seed"])
        network = network_from_factory(options["network"], **offered)
    check_saved_whole(network)
    return network


def _refuse_built_in_options(name: str, given: tuple[str, ...], whose: str) -> None:
    context = click.get_current_context()
    for option in given:
        if context.get_parameter_source(option) is ParameterSource.COMMANDLINE:
            flag = f"--{option.replace('_', '-')}"
            raise click.UsageError(
                f"{flag} describes the {whose}, not {name}: give the function its arguments, such"
                f' as --network "{name} width=16"'
            )
