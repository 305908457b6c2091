"""The options that `speckflex train` and `speckflex finetune` share."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from speckflex.cli.data_options import DurationType, preprocessing_options, reading_options
from speckflex.cli.options import OutFileType, json_option, seed_option
from speckflex.training.loggers import LOGGERS
from speckflex.training.settings import (
    CHOOSERS,
    DOWNSAMPLINGS,
    KEPT_EPOCHS,
    MIXED_SAMPLERS,
    OPTIMISERS,
    OUTPUTS,
    UPSAMPLINGS,
    TrainingSettings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Decorator = Callable[[Any], Any]

__all__ = ["board_options", "method_options", "training_options"]

file_type = click.Path(dir_okay=False, path_type=Path)
out_file_type = OutFileType()


def method_options(default: str) -> Decorator:
    """Return a decorator that adds the choice of time steps."""
    setting = partial(_setting, asdict(TrainingSettings(method=default)))
    options = (
        setting(
            "--method",
            str,
            "Time steps: one fixed T, one T drawn for all stages, or one drawn for each stage;"
            " neurons without a time loop (law); ReLUs in whole steps (mtsnn); or a board that"
            " plays the forward pass (finetune).",
            metavar="sdt|nmt|mtt|law|mtsnn|board",
        ),
        setting("--t-max --t", int, "Frames per recording, and the largest number of time steps."),
        setting(
            "--frame-time",
            DurationType(),
            "Time of a frame, from the start of a recording, such as 10ms. [default: the"
            " recording's time over T]",
        ),
        setting(
            "--samples-per-step",
            int,
            "Configurations drawn in each optimiser step (nmt, mtt, law).",
        ),
        setting(
            "--first-stage",
            MIXED_SAMPLERS,
            "How mtt and law draw: every stage (paper), the first one kept at T_max, T never grows,"
            " or nothing is drawn. [default: uniform; fixed with law]",
            name="sampler",
        ),
        setting(
            "--granularity",
            int,
            "Blocks in a stage (mtt). [default: the paper's for its networks, else 1]",
        ),
        setting(
            "--input-frames",
            DOWNSAMPLINGS,
            "Input of a shorter first stage: sums of frames, or the first frames alone.",
        ),
        setting(
            "--upsampling",
            UPSAMPLINGS,
            "Input of a longer stage: copies of each frame (paper), its spikes spread out, or means"
            " in both directions.",
        ),
        setting(
            "--boundaries",
            str,
            "Rules of each boundary between stages, that of the input first, in place of the two"
            " above, such as copy/trim,copy/sum,rate.",
            metavar="UP/DOWN,..",
        ),
        setting(
            "--bn-calibration-batches",
            int,
            "Batches that batch norms are measured on after an epoch of drawn time steps; 0 for"
            " none.",
            name="calibration_batches",
        ),
        setting(
            "--score",
            OUTPUTS,
            "Output for the loss: mean over the drawn time steps (paper), or their sum over T_max.",
            name="output",
        ),
        *_level_options(setting),
    )
    return _all(options)


def _level_options(setting: Callable[..., Decorator]) -> tuple[Decorator, ...]:
    """Return what belongs to method mtsnn alone."""
    return (
        setting("--mean-t", float, "Most that the layers' levels are on average (mtsnn)."),
        setting(
            "--bits-per-layer",
            str,
            "Bit width of each layer (mtsnn). [default: they learn under --mean-t]",
            name="bits",
            metavar="N,N,..",
        ),
    )


def board_options(**defaults: Any) -> Decorator:
    """Return a decorator that adds what belongs to method board alone, with own defaults."""
    setting = partial(_setting, asdict(TrainingSettings(**defaults)))
    options = (
        setting(
            "--board",
            str,
            "Board of method board: twin, twin:cuda, virtual:speck2e, speck2e:0.",
            metavar="NAME",
        ),
        setting(
            "--sparse-epochs",
            int,
            "Epochs in torch before the board's, with twice the price of operations (board).",
        ),
        setting(
            "--vary",
            str,
            "What differs from play to play (board): order of output, times, lost events.",
            metavar="order,jitter[=US],drop[=SHARE]",
        ),
        setting(
            "--max-load",
            float,
            "Load that no core shall exceed (board), a share of the rate that a core is taken to"
            " do, such as 0.8.",
        ),
    )
    return _all(options)


def training_options(**defaults: Any) -> Decorator:
    """Return a decorator that adds what both commands take, with a command's own defaults."""
    values = asdict(TrainingSettings(**defaults))
    return _all(
        (
            *_run_options(),
            reading_options,
            preprocessing_options,
            *_setting_options(values),
            seed_option,
            json_option,
        )
    )


def _run_options() -> tuple[Decorator, ...]:
    return (
        click.option(
            "--data",
            required=True,
            metavar="PATH|NAME",
            help="Labelled recordings; for time-stepped networks also images: CIFAR's binary files,"
            " or a folder of them for each class.",
        ),
        click.option(
            "--stream",
            is_flag=True,
            help="Read recordings when a batch needs them, instead of keeping all frames in memory."
            " Images are always read so.",
        ),
        click.option(
            "-o",
            "--out",
            type=OutFileType(".pt"),
            required=True,
            help="The .pt file to write, whole module.",
        ),
        click.option(
            "--samples", type=click.IntRange(min=1), help="Use this many recordings only."
        ),
        click.option(
            "--checkpoint",
            type=out_file_type,
            help="Written after each epoch. [default: OUT.checkpoint, removed at the end]",
        ),
        click.option("--resume", type=file_type, help="Continue from this checkpoint."),
        click.option("--metrics", type=out_file_type, help="Write JSON lines, one per epoch."),
        click.option(
            "--logger",
            "loggers",
            type=click.Choice(list(LOGGERS)),
            multiple=True,
            help="Log each epoch, to a folder in OUT.logs; may be given several times.",
        ),
        click.option(
            "--accelerator", default="cpu", show_default=True, help="cpu, cuda, mps or auto."
        ),
        click.option(
            "--precision",
            default="32-true",
            show_default=True,
            help="Precision of Lightning Fabric, such as bf16-mixed.",
        ),
        click.option("--threads", type=click.IntRange(min=1), help="Number of threads of torch."),
    )


def _setting_options(values: dict[str, Any]) -> tuple[Decorator, ...]:
    setting = partial(_setting, values)
    return (
        setting("--epochs", int, "Passes over the training part."),
        setting("--batch-size", int, "Recordings in each step and process."),
        setting("--optimiser", OPTIMISERS),
        setting("--learning-rate --lr", float, "Learning rate at the start; a cosine lowers it."),
        setting("--final-learning-rate", float, "Learning rate at the end of the cosine."),
        setting("--cosine-epochs", int, "Length of the cosine. [default: that of the training]"),
        setting("--weight-decay", float, "Weight decay of the optimiser."),
        setting("--clip-gradient", float, "Largest norm of a step's gradient; 0 for no limit."),
        setting(
            "--validation-share", float, "Share of the recordings that chooses the best epoch."
        ),
        setting(
            "--choose-by",
            CHOOSERS,
            "What chooses the best epoch: torch at T_max, the twin, event by event, or the board of"
            " method board. [default: torch; twin with law, board with board]",
            name="chosen_by",
        ),
        setting("--keep", KEPT_EPOCHS, "Epoch whose network is written."),
        setting("--patience", int, "Stop after this many epochs without a better one."),
        setting(
            "--augment",
            str,
            "Drawn for each recording in each epoch: moves and bends of up to N pixels, mirrors,"
            " reversed time, and for images AutoAugment (needs torchvision).",
            metavar="shift:N,crop:N,roll:N,warp:N,cutout:N,flip:lr,flip:ud,invert-time,autoaugment",
        ),
        setting(
            "--synops-weight",
            float,
            "Loss added per million synaptic operations of a recording; 0 for none. [default: none;"
            " with method board 0.01 for as many as its events cause in the first layer]",
        ),
        setting("--eight-bit/--no-eight-bit", bool, "Train through the chip's 8-bit weights."),
        setting(
            "--clip-weights/--no-clip-weights",
            bool,
            "Keep weights below the threshold. [finetune's default: not with method board]",
        ),
    )


def _setting(
    values: dict[str, Any],
    flags: str,
    kind: type | click.ParamType | Sequence[str],
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
        type=kind if isinstance(kind, type | click.ParamType) else click.Choice(kind),
        default=values[name],
        show_default=values[name] not in (None, ""),
        help=text,
        metavar=metavar,
    )


def _all(options: tuple[Decorator, ...]) -> Decorator:
    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate
