"""`speckflex evaluate`: a network in torch at several T, and on a board."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from speckflex._support.commit import commit_of_package
from speckflex.cli.data_options import DurationType, data_options, read_on_data
from speckflex.cli.options import (
    OutFileType,
    json_option,
    model_argument,
    model_options,
    seed_option,
    threads_option,
)
from speckflex.cli.progress import show_stages
from speckflex.cli.stage_timesteps import evaluate_in_torch, name_of, without_board
from speckflex.deployment.progress import Progress
from speckflex.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from speckflex.conversion.model import ConvertedModel
    from speckflex.data import EventDataset
    from speckflex.deployment.timesteps import Answers, TimestepCurve

__all__ = ["command"]


class Timesteps(NamedTuple):
    """Where a network is measured in torch.

    Args:
        same: numbers of time steps of all stages, ascending.
        by_stage: temporal configurations, a number for each stage.
    """

    same: tuple[int, ...]
    by_stage: tuple[tuple[int, ...], ...]


class TimestepsType(click.ParamType):
    """Numbers of time steps, such as `1,2,5,10`, or one for each stage, such as `6/3/1`."""

    name = "T,T,.."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Timesteps:
        """Return the numbers in ascending order, each once, and the configurations as given."""
        if isinstance(value, Timesteps):
            return value
        parts = [[n.strip() for n in part.split("/")] for part in str(value).split(",")]
        every = [number for part in parts for number in part]
        if not all(n.isdecimal() and n.isascii() and int(n) for n in every):
            self.fail(
                f"{value!r} is no list of time steps: write numbers of at least 1 with commas"
                " between them, such as 1,2,5,10, or with / a number for each stage, such as 6/3/1",
                param,
                ctx,
            )
        counts = [tuple(map(int, part)) for part in parts]
        same = sorted({part[0] for part in counts if len(part) == 1})
        return Timesteps(tuple(same), tuple(part for part in counts if len(part) > 1))


@click.command("evaluate")
@model_argument
@click.option(
    "--t",
    "timesteps",
    type=TimestepsType(),
    default="1,2,5,10,20,50,100",
    show_default=True,
    help="Numbers of time steps in torch; with / one for each stage, such as 6/3/1.",
)
@click.option(
    "--granularity",
    type=click.IntRange(min=1),
    help="Blocks in a stage. [default: the paper's for its networks, else 1]",
)
@click.option(
    "--boundaries",
    default="",
    metavar="UP/DOWN,..",
    help="Rules between stages of other time steps, that of the input first. [default: copy/sum]",
)
@click.option(
    "--frame-time",
    type=DurationType(),
    help="Time of a frame in torch, from the start of a recording, as in training. [default: the"
    " recording's time over T]",
)
@click.option(
    "--board",
    default="twin",
    show_default=True,
    help="twin, twin:cuda, virtual:speck2e, speck2e:0.",
)
@data_options
@model_options
@click.option(
    "-o",
    "--out",
    type=OutFileType(".svg", other=".html"),
    help="The .svg file to write, or an .html file: accuracy and spike difference over T.",
)
@threads_option
@seed_option
@json_option
def command(model: Path, **options: Any) -> None:
    """Measure the network in MODEL (.pt or .nir) at each T in torch, and on a board.

    Prints the accuracy with its 95 % Wilson interval, and how far the output spikes at each T
    differ from those of the board. A network that is time-stepped in torch only has no board; its
    data may be images too.
    """
    network = without_board(model, options)
    if network is not None:
        evaluate_in_torch(model, network, options)
        return
    curve = _measure(model, options)
    if options["out"]:
        _write(curve, options["out"])
    if options["as_json"]:
        click.echo(json.dumps(_plain(curve, options["frame_time"]), indent=2))
        return
    _show(curve)
    if options["out"]:
        click.echo(f"written: {options['out']}")


def _measure(path: Path, options: dict[str, Any]) -> TimestepCurve:
    with show_stages() as watch:
        watch(Progress(f"loading {path.name}"))
        from speckflex.boards.choosing import choose_board

        model, dataset = _read(path, options, watch)
        chosen = choose_board(options["board"], threads=options["threads"])
        if chosen.note:
            click.echo(f"board: {chosen.board.name}; {chosen.note}", err=True)
        from speckflex.deployment.timesteps import measure_timesteps
        from speckflex.training.mixed.boundaries import parse_boundaries
        from speckflex.training.mixed.stages import StageSteps

        same, by_stage = options["timesteps"]
        boundaries = parse_boundaries(options["boundaries"])
        staged = [StageSteps(one, options["granularity"], boundaries) for one in by_stage]
        with chosen.board as board:
            return measure_timesteps(
                model,
                dataset,
                board,
                (*same, *staged),
                frame_time=options["frame_time"],
                progress=watch,
            )


def _read(
    path: Path, options: dict[str, Any], watch: Callable[[Progress], None]
) -> tuple[ConvertedModel, EventDataset]:
    """Return the model, folded and converted, and the recordings on its input."""
    from speckflex.boards.choosing import chip_for
    from speckflex.boards.family import find_family
    from speckflex.chips.speck import UNBOUNDED

    name = options["board"]
    # a network that is too large for a chip can still be measured on the twin
    chip = UNBOUNDED.name if find_family(name).is_twin else chip_for(name)
    return read_on_data(path, options, chip=chip, progress=lambda stage: watch(Progress(stage)))


def _write(curve: TimestepCurve, path: Path) -> None:
    from speckflex._support.files import write_whole
    from speckflex.deployment.timestep_plot import render_page, render_svg
    from speckflex.errors import FileFormatError

    render = render_page if path.suffix.lower() == ".html" else render_svg
    write_whole(path, render(curve), FileFormatError)


def _show(curve: TimestepCurve) -> None:
    from speckflex.cli.tables import echo_table

    kind = "synthetic recordings" if curve.synthetic else "recordings"
    columns = ("", "accuracy", "95 % interval", "spike difference")
    rows = [
        (
            f"torch, T = {name_of(point.timesteps)}",
            *_cells(point),
            _percent(point.spike_difference),
        )
        for point in (*curve.in_torch, *curve.by_stage)
    ]
    rows.append((f"board {curve.board}", *_cells(curve.on_board), "reference"))
    echo_table(columns, rows, title=f"{curve.model}, {len(curve.labels)} {kind} of {curve.data}")


def _cells(point: Answers) -> tuple[str, str]:
    if point.accuracy is None or point.interval is None:
        return "-", "-"
    return f"{point.accuracy:.2%}", f"{point.interval[0]:.2%} to {point.interval[1]:.2%}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _plain(curve: TimestepCurve, frame_time: int | None) -> dict[str, Any]:
    """Return the figures as JSON types, with each prediction for paired tests."""
    values = {"speckflex": __version__, "commit": commit_of_package(), **asdict(curve)}
    values |= {"labels": curve.labels.tolist(), "frame_time": frame_time}
    for point in (values["on_board"], *values["in_torch"], *values["by_stage"]):
        point["predictions"] = point["predictions"].tolist()
    stages = {"stages": values.pop("stages"), "boundaries": values.pop("boundaries")}
    staged = values.pop("by_stage")
    return {**values, "by_stage": {**stages, "in_torch": staged}} if staged else values
