"""`speckflex deploy`: play a trained network on the chip or its twin and compare it with torch."""

from __future__ import annotations

import json
import os
import shlex
import sys
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from speckflex._support.run_folder import RunFolder
from speckflex.cli.bars import exit_on_missed, max_spike_difference_option
from speckflex.cli.data_options import DurationType, data_options, on_input, open_data, sensor_of
from speckflex.cli.emphasis import echo_report
from speckflex.cli.interrupts import Interruption
from speckflex.cli.options import (
    ShardType,
    json_option,
    model_argument,
    model_options,
    out_folder_option,
    seed_option,
    slow_clock_option,
    take_nir_options,
    threads_option,
)
from speckflex.cli.progress import show_stages, stage
from speckflex.errors import FileFormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from speckflex.boards.choosing import ChosenBoard
    from speckflex.conversion.model import ConvertedModel
    from speckflex.data import EventDataset
    from speckflex.deployment.deploy import Deployment, DeploySettings
    from speckflex.deployment.ranks import Rank

__all__ = ["command"]

EXPLAINED = 100  # samples of --explain, the first ones


@click.command("deploy")
@model_argument
@click.option(
    "--board",
    default="speck2e",
    show_default=True,
    help="speck2e or speck2f (the attached chip, else its twin), speck2e:0, speck2e:SERIAL,"
    " twin, twin:cuda, virtual:speck2e, replay:FILE.",
)
@data_options
@model_options
@out_folder_option
@click.option(
    "--bins",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Number of time steps of the torch reference.",
)
@click.option(
    "--keep-spikes",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    metavar="N",
    help="Keep the spikes of the first N samples, rounded up to whole batches; of more samples"
    " only counts. A session that finetune --board replay:FILE trains on needs all.",
)
@threads_option
@click.option(
    "--unbounded", is_flag=True, help="Convert without the chip's limits; runs on the twin only."
)
@click.option("--require-chip", is_flag=True, help="Fail (exit 3) if no chip is attached.")
@max_spike_difference_option
@click.option(
    "--min-accuracy",
    type=click.FloatRange(0, 1),
    metavar="FRACTION",
    help="Fail (exit 4) if the accuracy of the board is lower.",
)
@click.option(
    "--min-accuracy-at",
    type=(DurationType(), click.FloatRange(0, 1)),
    metavar="TIME FRACTION",
    help="Fail (exit 4) if the accuracy of the board is lower when its output is read up to this"
    " time after the first input event, such as 100ms 0.9.",
)
@click.option(
    "--early-exit",
    is_flag=True,
    help="Show how soon the output can be read: accuracy over time, and rules that stop reading,"
    " chosen on one half of the samples and judged on the other.",
)
@click.option(
    "--ensemble",
    type=click.IntRange(min=2),
    metavar="N",
    help="Play the first samples N times on the twin, each time with small changes. Expect a chip"
    " to differ from itself as much as these plays differ.",
)
@click.option(
    "--jitter",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="µs",
    help="Ensemble: standard deviation of the delay of an event on the bus.",
)
@click.option(
    "--drop",
    type=click.FloatRange(0, 1),
    default=0.0,
    metavar="SHARE",
    help="Ensemble: share of the events that are lost, 0 to 1.",
)
@click.option(
    "--parallel-window",
    type=click.IntRange(min=1),
    default=1,
    metavar="SPIKES",
    help="Ensemble: number of spikes of cores 0 and 1 within which their order may change.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SYNOPS",
    help="Synaptic operations per second that a core does: also play the twin at this rate, where"
    " input events that find no room are lost, and report its accuracy. [default: no such play]",
)
@click.option(
    "--explain",
    is_flag=True,
    help=f"Find the layer that costs most: play the first {EXPLAINED} samples with one layer at a"
    " time in 8 bits, event by event, and at a limited rate.",
)
@click.option(
    "--power",
    type=click.FloatRange(min=0, min_open=True, max=100),
    metavar="HZ",
    help="Measure the power of a devkit so often while samples play, idle first, and fit the energy"
    " of a sample, a spike and a synaptic operation. [default: not measured]",
)
@click.option(
    "--shard",
    type=ShardType(),
    help="Play only part K of N equal parts and write it to --out; speckflex merge makes the report"
    " of all. A part that was ended goes on where it was last saved.",
)
@slow_clock_option
@seed_option
@json_option
def command(model: Path, *, board: str, **options: Any) -> None:
    """Put the network in MODEL (.pt, .nir or .speck) on a board and compare it with torch.

    Folds BatchNorm without bias, converts to the chip's integers, plays recordings, and reports
    how far the spikes of board, twin and torch differ. With --out it writes the program, the
    recordings, report.json and report.html.
    """
    _refuse_changes_of_nothing(options)
    rank = _rank(options)
    if options["shard"] is not None:
        _deploy_shard(model, board, options)
        return
    if rank is not None and rank.index:
        # rank 0 shows and writes everything
        with (
            Path(os.devnull).open("w", encoding="utf-8") as nowhere,
            redirect_stdout(nowhere),
            redirect_stderr(nowhere),
        ):
            _deploy(model, board, options, rank)
        return
    with ExitStack() as stack:
        folder = None
        if options["out"]:
            # before the samples are played, which may take hours
            folder = stack.enter_context(RunFolder(options["out"], FileFormatError))
        deployment, chosen = _deploy(model, board, options, rank)
        assert deployment is not None  # noqa: S101 - only other ranks have none
        if folder is not None:
            with stage("writing the report"):
                deployment.save(folder)
    _show(deployment, chosen, options)
    if deployment.interrupted:
        raise Interruption(
            f"interrupted: the figures are of the {deployment.report.samples} samples that were"
            " played before"
        )
    exit_on_missed(deployment.report.missed)


def _rank(options: dict[str, Any]) -> Rank | None:
    """Return which of several processes this is; it shares the processors with the others."""
    if not os.environ.get("WORLD_SIZE"):
        # the first line comes within a second, and the import below takes longer
        return None
    from speckflex.deployment.ranks import Rank

    rank = Rank.of_process()
    if rank is not None:
        if options["shard"] is not None:
            raise click.UsageError(
                "--shard is given under torchrun, which makes a shard of each process: leave one of"
                " them out"
            )
        options["threads"] = options["threads"] or rank.threads
    return rank


def _refuse_changes_of_nothing(options: dict[str, Any]) -> None:
    """Refuse changes of the plays of an ensemble if there is no ensemble."""
    changes = (options["jitter"], options["drop"], options["parallel_window"] - 1)
    if options["ensemble"] is None and any(changes):
        raise click.UsageError(
            "--jitter, --drop and --parallel-window change the plays of an ensemble: give"
            " --ensemble N too"
        )


def _deploy(
    path: Path, board: str, options: dict[str, Any], rank: Rank | None
) -> tuple[Deployment | None, ChosenBoard]:
    with _opened(path, board, options) as (model, dataset, chosen), show_stages() as watch:
        settings = _settings(options)
        if rank is not None:
            from speckflex.deployment.ranks import deploy_rank

            deployment = deploy_rank(
                model, dataset, chosen, rank, settings=settings, progress=watch
            )
        else:
            from speckflex.deployment.deploy import deploy

            deployment = deploy(model, dataset, chosen, settings=settings, progress=watch)
    return deployment, chosen


@contextmanager
def _opened(
    path: Path, board: str, options: dict[str, Any]
) -> Iterator[tuple[ConvertedModel, EventDataset, ChosenBoard]]:
    """Yield the model, the recordings on its input and the open board, and announce the board."""
    with stage(f"loading {path.name}") as tell:
        model, dataset = _read(path, board, options, tell)
    with stage(f"opening board {board}"):
        from speckflex.boards.choosing import choose_board

        chosen = choose_board(
            board,
            require_chip=options["require_chip"],
            slow_clock=options["slow_clock"],
            threads=options["threads"],
            power=options["power"],
        )
    with chosen.board:
        # before the progress bars, which would draw over this line in a terminal
        _announce(chosen, dataset, as_json=options["as_json"])
        yield model, dataset, chosen


def _deploy_shard(path: Path, board: str, options: dict[str, Any]) -> None:
    """Play one shard and say what became of it."""
    from speckflex.deployment.shards import ShardRun, deploy_shard

    shard, folder = options["shard"], options["out"]
    if folder is None:
        raise click.UsageError("--shard writes a file for speckflex merge: give --out FOLDER too")
    with _opened(path, board, options) as (model, dataset, chosen), show_stages() as watch:
        played = deploy_shard(
            model,
            dataset,
            chosen,
            ShardRun(shard, folder),
            settings=_settings(options),
            progress=watch,
        )
    if options["as_json"]:
        facts = {**asdict(played), "shard": str(shard), "path": str(played.path)}
        click.echo(json.dumps(facts, indent=2))
    else:
        earlier = f", {played.before} of them by an earlier run" if played.before else ""
        click.echo(f"shard {shard}: {played.played} of {played.samples} samples played{earlier}")
        click.echo(f"written: {played.path}")
    if not played.is_whole:
        raise Interruption(
            f"interrupted: {played.played} of {played.samples} samples of shard {shard} are in"
            f" {played.path}; the same command goes on there"
        )


def _read(
    path: Path, board: str, options: dict[str, Any], tell: Callable[[str], None]
) -> tuple[ConvertedModel, EventDataset]:
    """Return the model, folded and converted, and the recordings on its input."""
    from speckflex.boards.choosing import chip_for
    from speckflex.chips.speck import UNBOUNDED
    from speckflex.conversion.model import read_model, stated_shape

    options["input_shape"] = options["input_shape"] or stated_shape(path)
    dataset = open_data(options)
    model = read_model(
        path,
        input_shape=options["input_shape"] or sensor_of(dataset),
        chip=UNBOUNDED.name if options["unbounded"] else chip_for(board),
        factory=options["factory"],
        key=options["key"],
        nir=take_nir_options(options),
        progress=tell,
    )
    return model, on_input(dataset, model.program.input.shape)


def _settings(options: dict[str, Any]) -> DeploySettings:
    from speckflex.deployment.deploy import DeploySettings
    from speckflex.events.perturbation import Perturbation
    from speckflex.report.bars import Bars

    return DeploySettings(
        bins=options["bins"],
        events_of=options["keep_spikes"],
        threads=options["threads"],
        ensemble=options["ensemble"] or 0,
        perturbation=Perturbation(
            jitter=options["jitter"],
            drop=options["drop"],
            parallel_window=options["parallel_window"],
        ),
        seed=options["seed"],
        slow_clock=options["slow_clock"],
        rate=options["rate"],
        explain=EXPLAINED if options["explain"] else 0,
        bars=Bars(
            options["max_spike_difference"], options["min_accuracy"], options["min_accuracy_at"]
        ),
        early_exit=options["early_exit"],
        command=shlex.join(["speckflex", *sys.argv[1:]]),
    )


def _announce(chosen: ChosenBoard, dataset: EventDataset, *, as_json: bool) -> None:
    click.echo(f"board: {_board_line(chosen)}", err=as_json)
    for sentence in dataset.changes:
        click.echo(f"recordings: {sentence}", err=as_json)


def _board_line(chosen: ChosenBoard) -> str:
    line = chosen.board.name
    return f"{line}; {chosen.note}" if chosen.note else line


def _show(deployment: Deployment, chosen: ChosenBoard, options: dict[str, Any]) -> None:
    from speckflex.report import render_json, render_text

    if options["as_json"]:
        click.echo(render_json(deployment.report))
        return
    echo_report(render_text(deployment.report))
    if options["out"]:
        click.echo(f"written: {options['out']}")
    click.echo(f"board: {_board_line(chosen)}")
