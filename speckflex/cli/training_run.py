"""What `speckflex train` and `speckflex finetune` do with their options, and what they print."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import click

from speckflex.cli.interrupts import Interruption
from speckflex.training.settings import TrainingSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lightning.fabric import Fabric
    from torch import nn

    from speckflex.data import EventDataset
    from speckflex.training import TrainingData, TrainingFiles, TrainingResult
    from speckflex.training.metrics import Progress

__all__ = ["run_training"]


def run_training(
    options: dict[str, Any],
    build: Callable[[EventDataset], nn.Module],
    trainer: Callable[..., TrainingResult],
) -> None:
    """Build a network for the data, read the data, train, save the best network, and say so.

    Args:
        options: of the command line.
        build: returns the network to train on a data set, of which it reads nothing.
        trainer: `train_network` or `finetune_network`.
    """
    from speckflex.data import open_dataset
    from speckflex.data.order import OrderWatch
    from speckflex.networks.files import save_network

    settings, files = _settings(options), _files(options)
    fabric = _open_fabric(options)
    order = OrderWatch()
    dataset = order.over(
        open_dataset(options["data"], split="train", limit=options["samples"], seed=settings.seed)
    )
    network = build(dataset)
    _check_before_reading(network, dataset, settings, files.resume)
    data = _read(dataset, settings)
    if fabric.is_global_zero:
        for sentence in order.warnings:
            click.echo(f"warning: {sentence}", err=True)
    with _training_bar() as watch:
        result = trainer(network, data, settings, files=files, fabric=fabric, watch=watch)
    if not fabric.is_global_zero:
        return
    save_network(result.network, options["out"])
    _clean_up(result, options, files)
    _show(result, dataset, data, options)


def _settings(options: dict[str, Any]) -> TrainingSettings:
    names = {item.name for item in fields(TrainingSettings)}
    return TrainingSettings(**{k: v for k, v in options.items() if k in names})


def _open_fabric(options: dict[str, Any]) -> Fabric:
    import torch

    from speckflex.training import open_fabric

    if options["threads"]:
        torch.set_num_threads(options["threads"])
    return open_fabric(options["accelerator"], precision=options["precision"])


def _check_before_reading(
    network: nn.Module, dataset: EventDataset, settings: TrainingSettings, resume: Path | None
) -> None:
    """Refuse what can't be trained, or gone on with, before reading takes its time."""
    from speckflex.training.checkpoint import check_checkpoint
    from speckflex.training.suitability import check_trainable

    check_trainable(network, dataset.shape, int(dataset.labels.max(initial=-1)) + 1)
    if resume is not None:
        check_checkpoint(resume, network, settings)


def _read(dataset: EventDataset, settings: TrainingSettings) -> TrainingData:
    from speckflex.cli.progress import progress_bar
    from speckflex.training import cache_frames, split_frames

    with progress_bar("reading recordings", len(dataset)) as advance:
        frames = cache_frames(dataset, settings.t_max, advance=advance)
    return split_frames(frames, settings)


def _files(options: dict[str, Any]) -> TrainingFiles:
    from speckflex.training import TrainingFiles

    out: Path = options["out"]
    checkpoint = options["checkpoint"] or out.with_name(out.name + ".checkpoint")
    return TrainingFiles(checkpoint, options["metrics"], options["resume"])


def _clean_up(result: TrainingResult, options: dict[str, Any], files: TrainingFiles) -> None:
    """Remove the checkpoint that nobody named; after an interruption keep it and say where."""
    if result.interrupted:
        kept = files.checkpoint is not None and files.checkpoint.is_file()
        remedy = f", continue with --resume {files.checkpoint}" if kept else ""
        raise Interruption(
            f"interrupted after epoch {len(result.history)}: the best network so far is in"
            f" {options['out']}{remedy}"
        )
    if options["checkpoint"] is None and files.checkpoint is not None:
        files.checkpoint.unlink(missing_ok=True)


def _show(
    result: TrainingResult, dataset: EventDataset, data: TrainingData, options: dict[str, Any]
) -> None:
    best = result.best
    summary = {
        "path": str(options["out"]),
        "method": options["method"],
        "t_max": options["t_max"],
        "epochs": len(result.history),
        "best_epoch": best.epoch,
        "validation_accuracy": best.validation_accuracy,
        "validation_loss": best.validation_loss,
        "twin_accuracy": best.twin_accuracy,
        "training_recordings": len(data.training),
        "validation_recordings": len(data.validation),
        "synthetic": dataset.synthetic,
    }
    if options["as_json"]:
        click.echo(json.dumps(summary, indent=2))
        return
    on_twin = ""
    if best.twin_accuracy is not None:
        on_twin = f", {best.twin_accuracy:.2%} on the twin"
    kind = "synthetic recordings" if dataset.synthetic else "recordings"
    click.echo(
        f"validation accuracy {best.validation_accuracy:.2%} at T = {options['t_max']}{on_twin}"
        f" (epoch {best.epoch} of {len(result.history)}; trained on {len(data.training)},"
        f" chosen on {len(data.validation)} {kind})"
    )
    click.echo(f"written: {options['out']}")


@contextmanager
def _training_bar() -> Iterator[Callable[[Progress], None] | None]:
    """Yield what draws loss, accuracy and time left in a terminal; None where it is piped."""
    import sys

    if not sys.stderr.isatty():
        yield None
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
        yield lambda state: bar.update(
            task,
            completed=state.step,
            total=state.n_steps,
            epoch=state.epoch,
            figures=_figures(state),
        )


def _figures(state: Progress) -> str:
    text = f"loss {state.loss:.3f}  accuracy {state.accuracy:.1%}"
    if state.validation_accuracy is None:
        return text
    return f"{text}  validation {state.validation_accuracy:.1%}"
