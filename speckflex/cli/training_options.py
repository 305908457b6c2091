"""The options and the output that `speckflex train` and `speckflex finetune` share."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from speckflex.cli.interrupts import Interruption
from speckflex.cli.options import OutFileType, json_option, seed_option
from speckflex.training.settings import (
    CHOOSERS,
    MIXED_SAMPLERS,
    OPTIMISERS,
    OUTPUTS,
    UPSAMPLINGS,
    TrainingSettings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lightning.fabric import Fabric
    from torch import nn

    from speckflex.data import EventDataset
    from speckflex.training import TrainingData, TrainingFiles, TrainingResult
    from speckflex.training.metrics import Progress

    Decorator = Callable[[Any], Any]

__all__ = ["method_options", "run_training", "training_options"]

file_type = click.Path(dir_okay=False, path_type=Path)
out_file_type = OutFileType()


def method_options(default: str) -> Decorator:
    """Return a decorator that adds the choice of time steps."""
    setting = partial(_setting, asdict(TrainingSettings(method=default)))
    options = (
        setting(
            "--method",
            str,
            "One T, drawn uniform T, or T drawn for each stage.",
            metavar="sdt|nmt|mtt",
        ),
        setting("--t-max --t", int, "Frames of a recording, and the most time steps drawn."),
        setting("--samples-per-step", int, "Drawn configurations per optimiser step (nmt, mtt)."),
        setting(
            "--first-stage",
            MIXED_SAMPLERS,
            "Keep the first stage at T_max, draw it too, or never grow (mtt).",
            name="sampler",
        ),
        setting("--granularity", int, "Blocks in a stage (mtt)."),
        setting(
            "--upsampling",
            UPSAMPLINGS,
            "What a longer stage gets of a shorter one: copies (paper), or spikes spread out.",
        ),
        setting(
            "--score",
            OUTPUTS,
            "What the loss sees: the mean over drawn time steps (paper), or their sum over T_max.",
            name="output",
        ),
    )
    return _all(options)


def training_options(**defaults: Any) -> Decorator:
    """Return a decorator that adds what both commands take, with a command's own defaults."""
    values = asdict(TrainingSettings(**defaults))
    return _all((*_run_options(), *_setting_options(values), seed_option, json_option))


def _run_options() -> tuple[Decorator, ...]:
    return (
        click.option("--data", required=True, metavar="PATH|NAME", help="Labelled recordings."),
        click.option(
            "-o",
            "--out",
            type=OutFileType(".pt"),
            required=True,
            help="The .pt file to write, whole module.",
        ),
        click.option("--samples", type=click.IntRange(min=1), help="Use so many recordings only."),
        click.option(
            "--checkpoint",
            type=out_file_type,
            help="To continue from after a kill. [default: OUT.checkpoint, removed at the end]",
        ),
        click.option("--resume", type=file_type, help="Continue from this checkpoint."),
        click.option("--metrics", type=out_file_type, help="Write JSON lines, one per epoch."),
        click.option(
            "--accelerator", default="cpu", show_default=True, help="cpu, cuda, mps or auto."
        ),
        click.option("--precision", default="32-true", show_default=True, help="As Fabric has it."),
        click.option("--threads", type=click.IntRange(min=1), help="Threads of torch."),
    )


def _setting_options(values: dict[str, Any]) -> tuple[Decorator, ...]:
    setting = partial(_setting, values)
    return (
        setting("--epochs", int, "Passes over the training part."),
        setting("--batch-size", int, "Recordings a step and process."),
        setting("--optimiser", OPTIMISERS),
        setting("--learning-rate --lr", float, "At the start; falls to 0 as a cosine."),
        setting("--weight-decay", float, "Of the optimiser."),
        setting("--validation-share", float, "Part that chooses the best epoch."),
        setting(
            "--choose-by",
            CHOOSERS,
            "What chooses the best epoch: torch at T_max, or the twin, event by event.",
            name="chosen_by",
        ),
        setting("--patience", int, "Stop after so many epochs without a better one."),
        setting("--shift", int, "Move recordings by up to so many pixels."),
        setting("--synops-weight", float, "Loss per million synaptic operations."),
        setting("--eight-bit/--no-eight-bit", bool, "Train through the chip's 8-bit weights."),
        setting("--clip-weights/--no-clip-weights", bool, "Keep weights below the threshold."),
    )


def _setting(
    values: dict[str, Any],
    flags: str,
    kind: type | Sequence[str],
    text: str = "",
    *,
    name: str = "",
    metavar: str | None = None,
) -> Decorator:
    """Return the option of one field of `TrainingSettings`.

    Args:
        values: of all fields, the defaults.
        flags: what may be written, with spaces between.
        kind: of the value, or the choices there are.
        text: of the help.
        name: of the field, where it is not the first flag's.
        metavar: what the help calls the value.
    """
    first = flags.split(maxsplit=1)[0].partition("/")[0]
    name = name or first.removeprefix("--").replace("-", "_")
    return click.option(
        *flags.split(),
        name,
        type=kind if isinstance(kind, type) else click.Choice(kind),
        default=values[name],
        show_default=values[name] is not None,
        help=text,
        metavar=metavar,
    )


def _all(options: tuple[Decorator, ...]) -> Decorator:
    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


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
    from speckflex.network import save_network

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
