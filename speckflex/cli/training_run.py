"""The work of `speckflex train` and `speckflex finetune`, and their output."""

from __future__ import annotations

import json
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from click.core import ParameterSource

from speckflex._support.commit import commit_of_folder
from speckflex._support.files import hash_file
from speckflex.cli.data_options import on_input, take_preprocessing, take_reading
from speckflex.cli.emphasis import echo_warning
from speckflex.cli.interrupts import Interruption
from speckflex.cli.progress import show_stages
from speckflex.cli.training_outlook import (
    OF_EVENTS,
    Outlook,
    measure_outlook,
    next_command,
    outlook_text,
)
from speckflex.cli.training_recipes import deviations
from speckflex.deployment.progress import Progress as Stage
from speckflex.training.settings import TrainingSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

    from speckflex.data import EventDataset, ImageDataset
    from speckflex.training import TrainingData, TrainingResult
    from speckflex.training.metrics import Progress

__all__ = ["on_network", "open_recordings", "run_training"]


def run_training(
    options: dict[str, Any],
    build: Callable[[Any], nn.Module],
    trainer: Callable[..., TrainingResult],
    *,
    measure: Callable[..., Outlook] | None = None,
) -> None:
    """Build a network for the data, read the data, train, and save and show the best network.

    Args:
        options: of the command line.
        build: returns the network to train on a data set, without reading its recordings.
        trainer: `train_network` or `finetune_network`.
        measure: returns, from the built network, the trained one and the recordings that chose
            the epoch, what was won and what is left to win; None to leave it out.
    """
    import torch

    from speckflex.data import EventDataset
    from speckflex.data.order import OrderWatch
    from speckflex.networks.files import save_network
    from speckflex.training import TrainingFiles, open_fabric
    from speckflex.training.loggers import closing_loggers, open_loggers
    from speckflex.training.suitability import check_time_stepped

    names = {item.name for item in fields(TrainingSettings)}
    settings = TrainingSettings(**{k: v for k, v in options.items() if k in names})
    changed = deviations(options, click.get_current_context())
    out: Path = options["out"]
    checkpoint = options["checkpoint"] or out.with_name(out.name + ".checkpoint")
    files = TrainingFiles(checkpoint, options["metrics"], options["resume"])
    if options["threads"]:
        torch.set_num_threads(options["threads"])
    loggers = open_loggers(options["loggers"], out.with_name(out.name + ".logs"), settings)
    fabric = open_fabric(options["accelerator"], precision=options["precision"], loggers=loggers)
    order = OrderWatch()
    dataset = open_recordings(options, settings.seed)
    if isinstance(dataset, EventDataset):
        dataset = order.over(dataset)
    network = build(dataset)
    check_time_stepped(network, settings)
    if isinstance(dataset, EventDataset):
        dataset = on_network(dataset, network)
    data = _read(dataset, network, settings, options)
    if fabric.is_global_zero:
        for sentence in order.warnings:
            echo_warning(sentence)
    bar = _training_bar() if fabric.is_global_zero else nullcontext()
    with closing_loggers(loggers), bar as watch:
        result = trainer(network, data, settings, files=files, fabric=fabric, watch=watch)
    if not fabric.is_global_zero:
        return
    save_network(result.network, out)
    _end_if_interrupted(result, out, checkpoint)
    if options["checkpoint"] is None:
        checkpoint.unlink(missing_ok=True)
    outlook = measure_outlook(measure, network, result.network, data)
    finished = _Finished(result, dataset, data, settings, outlook, changed)
    _show(finished, options)


class _Finished(NamedTuple):
    """What a training was and what came out of it."""

    result: TrainingResult
    dataset: EventDataset | ImageDataset
    data: TrainingData
    settings: TrainingSettings
    outlook: Outlook | None
    changed: dict[str, tuple[Any, Any]]


def open_recordings(options: dict[str, Any], seed: int) -> EventDataset | ImageDataset:
    """Return the recordings or images of the command line, none of them read."""
    from speckflex.data import is_image_folder, open_dataset, open_images, preprocess

    if is_image_folder(options["data"]):
        _refuse_for_images()
        return open_images(
            options["data"],
            split=options.get("split", "train"),
            limit=options["samples"],
            seed=seed,
            size=options["resize"],
        )
    fit = take_preprocessing(options)
    dataset = open_dataset(
        options["data"],
        split="train",
        limit=options["samples"],
        seed=seed,
        **take_reading(options),
    )
    return preprocess(dataset, fit).balanced(options["samples"], seed=seed)


def _refuse_for_images() -> None:
    """Refuse the options that say how events are read and fitted."""
    context = click.get_current_context()
    for option in OF_EVENTS:
        if context.get_parameter_source(option) is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"--{option.replace('_', '-')} is for events, and the data are images: leave it"
                " out; --resize gives images another size"
            )


def _end_if_interrupted(result: TrainingResult, out: Path, checkpoint: Path) -> None:
    if result.interrupted:
        remedy = f", continue with --resume {checkpoint}" if checkpoint.is_file() else ""
        raise Interruption(
            f"interrupted after epoch {len(result.history)}: the best network so far is in"
            f" {out}{remedy}"
        )


def on_network(dataset: EventDataset, network: nn.Module) -> EventDataset:
    """Return the recordings on a network's input, if they do not state a sensor of their own."""
    from speckflex.conversion.input_shape import find_input_shape

    if dataset.shape_stated:
        return dataset
    source = f"{dataset.name}: its recordings do not state their sensor, and the network"
    return on_input(dataset, find_input_shape(network, source=source, option="--sensor"))


def _read(
    dataset: EventDataset | ImageDataset,
    network: nn.Module,
    settings: TrainingSettings,
    options: dict[str, Any],
) -> TrainingData:
    """Return the recordings, after checks that would otherwise fail after the long reading."""
    from speckflex.cli.progress import progress_bar
    from speckflex.data import ImageDataset
    from speckflex.training import cache_frames, split_frames, stream_frames
    from speckflex.training.checkpoint import check_checkpoint
    from speckflex.training.on_board.board_loop import check_board
    from speckflex.training.pipeline import for_method
    from speckflex.training.suitability import check_trainable

    if settings.method == "board":
        check_board(settings)
    check_trainable(network, dataset.shape, int(dataset.labels.max(initial=-1)) + 1)
    trained = for_method(network, settings)
    if options["resume"] is not None:
        check_checkpoint(options["resume"], trained, settings)
    if options["stream"] or isinstance(dataset, ImageDataset):
        frames = stream_frames(dataset, settings.t_max, frame_time=settings.frame_time)
        return split_frames(frames, settings)
    with progress_bar("reading recordings", len(dataset)) as advance:
        frames = cache_frames(
            dataset, settings.t_max, frame_time=settings.frame_time, advance=advance
        )
    return split_frames(frames, settings)


def _show(finished: _Finished, options: dict[str, Any]) -> None:
    from speckflex.networks.time_stepped import TORCH_ONLY, is_time_stepped

    result, settings, outlook = finished.result, finished.settings, finished.outlook
    best = result.best
    if options["as_json"]:
        click.echo(json.dumps(_summary(finished, options), indent=2))
        return
    on_twin = ""
    if best.twin_accuracy is not None:
        on_twin = f", {best.twin_accuracy:.2%} on the twin"
    if best.board_accuracy is not None:
        on_twin = f", {best.board_accuracy:.2%} on board {settings.board}"
    kind = _kind_of(finished.dataset)
    if options["recipe"]:
        click.echo(_recipe_line(options["recipe"], finished.changed))
    click.echo(
        f"validation accuracy {best.validation_accuracy:.2%} at T = {settings.t_max}{on_twin}"
        f" (epoch {best.epoch} of {len(result.history)}; trained on {len(finished.data.training)},"
        f" chosen on {len(finished.data.validation)} {kind})"
    )
    if best.peak_load is not None:
        click.echo(
            f"busiest core in its busiest 10 ms: {best.peak_load:.0%} of what a core is taken to"
            f" do, the limit is {settings.max_load:.0%}"
        )
    if outlook is not None:
        click.echo(outlook_text(outlook, settings, options))
    if is_time_stepped(result.network):
        click.echo(f"{TORCH_ONLY}: no board runs this network")
    click.echo(f"written: {options['out']}")


def _kind_of(dataset: EventDataset | ImageDataset) -> str:
    from speckflex.data import ImageDataset

    if isinstance(dataset, ImageDataset):
        return "images"
    return "synthetic recordings" if dataset.synthetic else "recordings"


def _summary(finished: _Finished, options: dict[str, Any]) -> dict[str, Any]:
    from speckflex.networks.time_stepped import is_time_stepped
    from speckflex.training.results import origin_of

    settings, best, outlook = finished.settings, finished.result.best, finished.outlook
    losses = None if outlook is None else outlook.losses
    return {
        "path": str(options["out"]),
        "method": settings.method,
        "t_max": settings.t_max,
        "epochs": len(finished.result.history),
        "best_epoch": best.epoch,
        "validation_accuracy": best.validation_accuracy,
        "validation_loss": best.validation_loss,
        "twin_accuracy": best.twin_accuracy,
        "board": settings.board if settings.method == "board" else None,
        "board_accuracy": best.board_accuracy,
        "peak_load": best.peak_load,
        "gain_on_twin": None if outlook is None else asdict(outlook.gain),
        "losses": None if losses is None else {**asdict(losses), "by_step": losses.by_step},
        "next_command": None if losses is None else next_command(losses, settings, options),
        "training_recordings": len(finished.data.training),
        "validation_recordings": len(finished.data.validation),
        "synthetic": finished.dataset.synthetic,
        "time_stepped_in_torch_only": is_time_stepped(finished.result.network),
        "recipe": options["recipe"],
        "changed_from_recipe": {name: value for name, (value, _) in finished.changed.items()},
        "model_sha256": hash_file(options["out"]) or None,
        "data_sha256": finished.data.sha256,
        "working_directory_commit": commit_of_folder(Path.cwd()),
        **origin_of(settings),
    }


def _recipe_line(recipe: str, changed: dict[str, tuple[Any, Any]]) -> str:
    parts = [f"{name} {here} instead of {there}" for name, (here, there) in changed.items()]
    return f"recipe {recipe}" + (f", with {', '.join(parts)}" if parts else "")


@contextmanager
def _training_bar() -> Iterator[Callable[[Progress], None]]:
    """Yield a function that shows loss, accuracy and, in a terminal, the time left."""
    import sys

    if not sys.stderr.isatty():
        with show_stages() as tell:
            yield lambda state: tell(_as_stage(state))
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as ProgressBar

    columns = (
        TextColumn("epoch {task.fields[epoch]}"),
        BarColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
    )
    with ProgressBar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("training", total=None, epoch=1, figures="")

        def show(state: Progress) -> None:
            bar.update(
                task,
                completed=state.step,
                total=state.n_steps,
                epoch=state.epoch,
                figures="  ".join(_figures(state)),
            )

        yield show


def _figures(state: Progress) -> list[str]:
    figures = [f"loss {state.loss:.3f}", f"accuracy {state.accuracy:.1%}"]
    if state.validation_accuracy is not None:
        figures.append(f"validation {state.validation_accuracy:.1%}")
    return figures


def _as_stage(state: Progress) -> Stage:
    """Return the state of a training as a pipe shows it."""
    name = ", ".join([f"training, epoch {state.epoch}", *_figures(state)])
    return Stage(f"{name}, step", state.step, state.n_steps)
