"""The part of `speckflex evaluate` for networks that no board runs."""

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

__all__ = ["evaluate_in_torch", "name_of", "without_board"]


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
    from speckflex.training.suitability import check_trainable

    dataset = _open(options)
    check_trainable(network, dataset.shape, int(dataset.labels.max(initial=-1)) + 1)
    every = (*options["timesteps"].same, *options["timesteps"].by_stage)
    curve = _measure(network, dataset, every, options)
    if options["as_json"]:
        about = {"model": path.name, "runs": TORCH_ONLY, "frame_time": options["frame_time"]}
        values = {**about, **_plain(curve)}
        click.echo(json.dumps(values, indent=2))
        return
    kind = "synthetic recordings" if dataset.synthetic else "recordings"
    if isinstance(dataset, ImageDataset):
        kind = "images"
    title = f"{path.name}, {TORCH_ONLY}, {len(curve.labels)} {kind} of {curve.data}"
    columns = ("", "accuracy", "95 % interval")
    rows = [(f"torch, T = {name_of(point.timesteps)}", *_cells(point)) for point in curve.in_torch]
    echo_table(columns, rows, title=title)


def _measure(
    network: nn.Module,
    dataset: EventDataset | ImageDataset,
    configurations: tuple[int | tuple[int, ...], ...],
    options: dict[str, Any],
) -> StageCurve:
    """Return a network's answers in torch at each configuration."""
    from speckflex.training.mixed.boundaries import parse_boundaries
    from speckflex.training.mixed.stages import cut_network
    from speckflex.training.stage_timesteps import measure_stages

    boundaries = parse_boundaries(options["boundaries"])
    mixed = cut_network(network, granularity=options["granularity"], boundaries=boundaries)
    with show_stages() as watch:
        return measure_stages(
            mixed,
            dataset,
            configurations,
            frame_time=options["frame_time"],
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


def _cells(point: StageAnswers) -> tuple[str, str]:
    return f"{point.accuracy:.2%}", f"{point.interval[0]:.2%} to {point.interval[1]:.2%}"


def name_of(timesteps: int | tuple[int, ...] | None) -> str:
    """Return one number where all stages have the same, else all of them."""
    if not isinstance(timesteps, tuple):
        return str(timesteps)
    return str(timesteps[0]) if len(set(timesteps)) == 1 else "/".join(map(str, timesteps))


def _plain(curve: StageCurve) -> dict[str, Any]:
    """Return the figures as JSON types, with each prediction for paired tests."""
    values = {"speckflex": __version__, "commit": commit_of_package(), **asdict(curve)}
    values["labels"] = curve.labels.tolist()
    for point in values["in_torch"]:
        point["predictions"] = point["predictions"].tolist()
    return values
