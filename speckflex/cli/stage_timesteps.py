"""The part of `speckflex evaluate` that needs no board: T for each stage, and leaky networks."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from speckflex._support.commit import commit_of_package
from speckflex.cli.data_options import open_data
from speckflex.cli.progress import show_stages
from speckflex.deployment.progress import Progress
from speckflex.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from speckflex.data import EventDataset, ImageDataset
    from speckflex.training.stage_timesteps import StageAnswers, StageCurve

__all__ = ["evaluate_in_torch", "measure_by_stage", "plain_curve", "stage_rows", "without_board"]


def without_board(path: Path, options: dict[str, Any]) -> nn.Module | None:
    """Return the network in a file if it is time-stepped in torch only, else None.

    Raises:
        UsageError: a board is asked for, or the plot that has one.
    """
    if path.suffix.lower() in {".speck", ".nir", ".onnx"}:
        return None
    from speckflex.networks.files import load_time_stepped

    network = load_time_stepped(path, factory=options["factory"], key=options["key"])
    context = click.get_current_context()
    for name in ("board", "out"):
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if network is not None and given:
            raise click.UsageError(
                f"{path}: its network is time-stepped in torch only, and no board runs it: leave"
                f" --{name} out"
            )
    return network


def evaluate_in_torch(path: Path, network: nn.Module, options: dict[str, Any]) -> None:
    """Measure a network that no board runs, and print what it answers at each T."""
    from speckflex.cli.tables import echo_table
    from speckflex.data import ImageDataset
    from speckflex.networks.time_stepped import TORCH_ONLY

    dataset = _open(options)
    every = (*options["timesteps"].same, *options["timesteps"].by_stage)
    curve = measure_by_stage(network, dataset, every, options)
    if options["as_json"]:
        values = {"model": path.name, "runs": TORCH_ONLY, **plain_curve(curve)}
        click.echo(json.dumps(values, indent=2))
        return
    kind = "synthetic recordings" if dataset.synthetic else "recordings"
    if isinstance(dataset, ImageDataset):
        kind = "images"
    title = f"{path.name}, {TORCH_ONLY}, {len(curve.labels)} {kind} of {curve.data}"
    columns = ("", "accuracy", "95 % interval")
    echo_table(columns, [row[:3] for row in stage_rows(curve)], title=title)


def measure_by_stage(
    network: nn.Module,
    dataset: EventDataset | ImageDataset,
    configurations: tuple[int | tuple[int, ...], ...],
    options: dict[str, Any],
) -> StageCurve:
    """Return a network's answers in torch at each configuration."""
    from speckflex.training.mixed.boundaries import parse_boundaries
    from speckflex.training.stage_timesteps import measure_stages

    boundaries = parse_boundaries(options["boundaries"])
    with show_stages() as watch:
        return measure_stages(
            network,
            dataset,
            configurations,
            granularity=options["granularity"],
            boundaries=boundaries,
            progress=lambda name: watch(Progress(name)),
        )


def _open(options: dict[str, Any]) -> EventDataset | ImageDataset:
    from speckflex.data import is_image_folder, open_images

    if not options["data"] or not is_image_folder(options["data"]):
        return open_data(options)
    return open_images(
        options["data"],
        split=options["split"],
        limit=options["samples"],
        seed=options["seed"],
        size=options["resize"],
    )


def stage_rows(curve: StageCurve) -> list[tuple[str, str, str, str]]:
    """Return a row of a table for each configuration; the last cell is for a difference."""
    return [(f"torch, T = {_name(point)}", *_cells(point), "-") for point in curve.in_torch]


def _cells(point: StageAnswers) -> tuple[str, str]:
    return f"{point.accuracy:.2%}", f"{point.interval[0]:.2%} to {point.interval[1]:.2%}"


def _name(point: StageAnswers) -> str:
    """Return one number where all stages have the same, else all of them."""
    counts = point.timesteps
    return str(counts[0]) if len(set(counts)) == 1 else "/".join(map(str, counts))


def plain_curve(curve: StageCurve) -> dict[str, Any]:
    """Return the figures as JSON types, with each prediction for paired tests."""
    values = {"speckflex": __version__, "commit": commit_of_package(), **asdict(curve)}
    values["labels"] = curve.labels.tolist()
    for point in values["in_torch"]:
        point["predictions"] = point["predictions"].tolist()
    return values
