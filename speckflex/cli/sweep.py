"""`speckflex sweep`: a search over training settings for accuracy on the twin."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any

import click

from speckflex.cli import train
from speckflex.cli.bars import exit_on_missed
from speckflex.cli.config import as_toml, used_options
from speckflex.cli.interrupts import Interruption
from speckflex.cli.options import OutFolderType, existing_file
from speckflex.cli.training_options import board_options, method_options, training_options
from speckflex.cli.training_run import on_network, open_recordings
from speckflex.training.settings import TrainingSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

    from speckflex.data import EventDataset
    from speckflex.training import TrainingData
    from speckflex.training.sweep.study import Plan, TrialRow
    from speckflex.training.sweep.trial import OnTwin

__all__ = ["command"]

# Options of a training that a search has no use for, or has its own of.
NOT_SHARED = ("out", "checkpoint", "resume", "metrics", "loggers", "max_load")
OF_NETWORKS = ("network", "width", "neuron", "lower_bound", "voting", "batch_norm")
SHOWN = 10  # rows of the table, the best ones


def shared_options(function: Any) -> Any:
    """Add the options of a training and of its network, with their defaults."""
    training = training_options(augment="shift:2", clip_weights=True, clip_gradient=1.0)
    function = method_options("mtt")(board_options()(training(function)))
    shared = [option for option in function.__click_params__ if option.name not in NOT_SHARED]
    networks = [option for option in train.command.params if option.name in OF_NETWORKS]
    function.__click_params__ = [*reversed(networks), *shared]
    return function


@click.command("sweep")
@click.option(
    "--search",
    multiple=True,
    required=True,
    metavar="SETTING=VALUES",
    help="What varies: t-max=5..20, learning-rate=1e-4..1e-2:log, granularity=1,2 or"
    " lower-bound=-8,-1; may be given several times.",
)
@click.option(
    "--model",
    type=existing_file,
    help="Fine-tune this bias-free network instead of training a new one.",
)
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Number of trainings, those of all workers and of earlier runs together.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Begin no other training after this time. [default: no limit]",
)
@click.option(
    "--max-load",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SHARE",
    help="Load that no core may exceed in its busiest 10 ms, a share of what a core is taken to do;"
    " exit 4 if no trial keeps to it.",
)
@click.option(
    "--storage",
    metavar="URL",
    help="Database that workers on several machines share, such as sqlite:///sweep.db."
    " [default: a file in the folder]",
)
@click.option(
    "-o", "--out", type=OutFolderType(), required=True, help="Folder for the trials and the best."
)
@shared_options
def command(**options: Any) -> None:
    """Train with varied settings and find the best accuracy on the twin, event by event in 8 bits.

    The same command goes on after a kill, and started several times it is several workers of one
    search. The folder gets the table, a plot, the networks that were the best of their time, and
    best.toml, from which `speckflex train` or `finetune` trains the best one again.
    """
    from speckflex.training.sweep.study import best_row, open_study, rows_of, run_study

    plan, base = _plan(options)
    folder: Path = options["out"]
    folder.mkdir(parents=True, exist_ok=True)
    study = open_study(options["storage"] or folder / "sweep.journal", plan)
    trial = _Trials(options, base, lambda: best_row(rows_of(study, plan)))
    try:
        rows = run_study(study, plan, trial.run, watch=lambda rows: _tell(rows, plan))
    except KeyboardInterrupt as error:
        _write(rows_of(study, plan), plan, options)
        raise Interruption(
            f"interrupted: the trials that are done are in {folder}; the same command goes on"
        ) from error
    _write(rows, plan, options)
    _show(rows, plan, options)
    if plan.max_load is not None and best_row(rows) is None:
        exit_on_missed([f"none of {len(rows)} trials keeps to a load of {plan.max_load:.0%}"])


def _plan(options: dict[str, Any]) -> tuple[Plan, TrainingSettings]:
    """Return what is searched, and the settings that do not vary."""
    from speckflex.errors import TrainingError
    from speckflex.training.sweep.axes import Axis
    from speckflex.training.sweep.study import Plan

    names = {item.name for item in fields(TrainingSettings)}
    given = {name: value for name, value in options.items() if name in names}
    if options["method"] != "board":
        given["max_load"] = None
    base = TrainingSettings(**given)
    axes = tuple(Axis.parse(text) for text in options["search"])
    doubled = next((a.name for a in axes if [b.name for b in axes].count(a.name) > 1), None)
    if doubled is not None:
        raise TrainingError(f"search {doubled}: varies twice: give all its values in one --search")
    if options["model"] is not None and "lower_bound" in [axis.name for axis in axes]:
        raise TrainingError(
            "search lower-bound: is chosen when a network is made: leave --model out, or this axis"
        )
    about = {
        "search": sorted(options["search"]),
        "data": str(options["data"]),
        "samples": options["samples"],
        "model": None if options["model"] is None else str(options["model"]),
        "network": {name: options[name] for name in OF_NETWORKS},
        "settings": asdict(base),
    }
    plan = Plan(
        axes,
        trials=options["trials"],
        timeout=options["timeout"],
        max_load=options["max_load"],
        seed=options["seed"],
        about=json.loads(json.dumps(about)),
    )
    return plan, base


class _Trials:
    """Trains networks for a search.

    Args:
        options: of the command line.
        base: the settings that do not vary.
        best: returns the best trial so far.
    """

    def __init__(
        self,
        options: dict[str, Any],
        base: TrainingSettings,
        best: Callable[[], TrialRow | None],
    ) -> None:
        import torch

        from speckflex.training import open_fabric

        if options["threads"]:
            torch.set_num_threads(options["threads"])
        self._options, self._base, self._best = options, base, best
        self._fabric = open_fabric(options["accelerator"], precision=options["precision"])
        self._dataset: Any = open_recordings(options, base.seed)
        self._frames: dict[int, TrainingData] = {}

    def run(self, values: dict[str, Any], number: int) -> OnTwin:
        """Train a network, measure it on the twin, and keep it if none was better."""
        from speckflex.errors import TrainingInterruptedError
        from speckflex.networks.files import save_network
        from speckflex.training import finetune_network, train_network
        from speckflex.training.sweep.trial import measure_on_twin

        options = {**self._options, **values}
        varied = {name: value for name, value in values.items() if name in asdict(self._base)}
        settings = replace(self._base, **varied)
        network = _network(options, self._dataset)
        data = self._data(on_network(self._dataset, network), settings)
        train_it = train_network if options["model"] is None else finetune_network
        try:
            result = train_it(network, data, settings, fabric=self._fabric)
        except TrainingInterruptedError as error:
            raise KeyboardInterrupt from error
        if result.interrupted:
            raise KeyboardInterrupt
        measured = measure_on_twin(result.network, data.validation, threads=options["threads"])
        if self._is_best(measured):
            save_network(result.network, options["out"] / f"trial-{number}.pt")
        return measured

    def _is_best(self, measured: OnTwin) -> bool:
        limit, best = self._options["max_load"], self._best()
        if limit is not None and measured.peak_load > limit:
            return False
        return best is None or (measured.accuracy, -measured.peak_load) > (
            best.accuracy or 0.0,
            -(best.peak_load or 0.0),
        )

    def _data(self, dataset: EventDataset, settings: TrainingSettings) -> TrainingData:
        """Return the recordings as frames; those of the last number of frames are kept."""
        from speckflex.training import cache_frames, split_frames

        if settings.t_max not in self._frames:
            frames = cache_frames(dataset, settings.t_max, frame_time=settings.frame_time)
            self._frames = {settings.t_max: split_frames(frames, settings)}
        return self._frames[settings.t_max]


def _network(options: dict[str, Any], dataset: EventDataset) -> nn.Module:
    """Return the network that a trial begins with."""
    from speckflex.errors import TrainingError
    from speckflex.networks.files import load_network
    from speckflex.networks.time_stepped import TORCH_ONLY, is_time_stepped
    from speckflex.training.pipeline import merge_network

    if options["model"] is None:
        network = train.build_network(dataset, options)
        if is_time_stepped(network):
            raise TrainingError(
                f"network {options['network']} is {TORCH_ONLY}, and a sweep measures on the twin:"
                " choose a network of the chip, such as nmnist-3c1fc"
            )
        return network
    network = load_network(options["model"])
    return merge_network(network) if options["method"] == "board" else network


def _tell(rows: list[TrialRow], plan: Plan) -> None:
    from speckflex.training.sweep.study import best_row

    last, best = max(rows, key=lambda row: row.number), best_row(rows)
    found = "none within the load" if best is None else f"{best.accuracy:.2%}, trial {best.number}"
    line = f"{last.accuracy:.2%} on the twin" if last.accuracy is not None else last.error
    click.echo(f"{len(rows)} of {plan.trials}: {line}; best so far: {found}", err=True)


def _write(rows: list[TrialRow], plan: Plan, options: dict[str, Any]) -> None:
    """Write the table, the picture, and the options of the best trial."""
    from speckflex._support.files import write_whole
    from speckflex._support.pictures import save_picture
    from speckflex.errors import FileFormatError, MissingExtraError
    from speckflex.training.sweep.plot import draw_sweep
    from speckflex.training.sweep.study import best_row

    folder, best = options["out"], best_row(rows)
    text = json.dumps(_plain(rows, plan, options), indent=2)
    write_whole(folder / "sweep.json", f"{text}\n", FileFormatError)
    if best is not None:
        write_whole(folder / "best.toml", as_toml(_best_options(best)), FileFormatError)
    try:
        save_picture(draw_sweep(rows, plan.max_load), folder / "sweep.svg")
    except MissingExtraError as error:
        click.echo(f"no picture: {error}", err=True)


def _best_options(best: TrialRow) -> dict[str, Any]:
    """Return the options with which `train` or `finetune` trains the best network again."""
    context = click.get_current_context()
    used = used_options(context)
    target = _target(context.params["model"])
    names = {p.name: p.opts[-1 if isinstance(p, click.Argument) else 0] for p in target.params}
    keys = {name: flag.removeprefix("--") for name, flag in names.items() if name != "out"}
    kept = {name: value for name, value in used.items() if name in keys.values()}
    varied = {keys[str(name)]: value for name, value in best.values.items()}
    return {**kept, **varied, "json": False}


def _target(model: Path | None) -> click.Command:
    from speckflex.cli import finetune

    return train.command if model is None else finetune.command


def _plain(rows: list[TrialRow], plan: Plan, options: dict[str, Any]) -> dict[str, Any]:
    """Return the search as JSON types."""
    from speckflex.training.sweep.study import best_row

    best = best_row(rows)
    return {
        "path": str(options["out"]),
        "search": list(options["search"]),
        "max_load": plan.max_load,
        "best": None if best is None else asdict(best),
        "trials": [asdict(row) for row in rows],
    }


def _show(rows: list[TrialRow], plan: Plan, options: dict[str, Any]) -> None:
    from speckflex.cli.tables import echo_table
    from speckflex.training.sweep.study import best_row

    if options["as_json"]:
        click.echo(json.dumps(_plain(rows, plan, options), indent=2))
        return
    names = [axis.name for axis in plan.axes]
    ordered = sorted(rows, key=lambda row: (not row.keeps_up, -(row.accuracy or 0.0), row.number))
    table = [
        (
            str(row.number),
            *(
                f"{row.values[name]:.4g}"
                if isinstance(row.values[name], float)
                else str(row.values[name])
                for name in names
            ),
            *_figures(row),
        )
        for row in ordered[:SHOWN]
    ]
    title = f"the best of {len(rows)} trials" if len(rows) > SHOWN else f"{len(rows)} trials"
    columns = ("trial", *(name.replace("_", "-") for name in names), "on the twin", "load", "")
    echo_table(columns, table, title=title)
    best, folder = best_row(rows), options["out"]
    if best is not None:
        name = _target(options["model"]).name
        click.echo(
            f"best: trial {best.number}, {best.accuracy:.2%} on the twin; again:"
            f" speckflex {name} --config {folder / 'best.toml'} --out best.pt"
        )
    click.echo(f"written: {folder}")


def _figures(row: TrialRow) -> tuple[str, str, str]:
    if row.accuracy is None or row.peak_load is None:
        return "-", "-", row.error
    return f"{row.accuracy:.2%}", f"{row.peak_load:.0%}", "" if row.keeps_up else "too much load"
