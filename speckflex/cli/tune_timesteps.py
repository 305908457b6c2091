"""`speckflex tune --by timesteps`: which time steps of each stage, in torch alone."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from speckflex.cli.data_options import open_data, read_on_data
from speckflex.cli.progress import progress_bar, stage

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from speckflex.data import EventDataset
    from speckflex.training.timestep_search import TimestepSearch

__all__ = ["tune_timesteps"]


def tune_timesteps(path: Path, out: Path, options: dict[str, Any]) -> None:
    """Measure configurations of time steps, fit the model, choose, judge, and write a page."""
    from speckflex._support.files import write_whole
    from speckflex.errors import FileFormatError
    from speckflex.training.timestep_page import search_page

    with stage(f"loading {path.name}"):
        network, dataset = _read(path, options)
    found = _search(network, dataset, options)
    page = search_page(found, path.name, dataset.name, synthetic=dataset.synthetic)
    write_whole(out, page, FileFormatError)
    if options["as_json"]:
        click.echo(json.dumps(_plain(found, dataset, out), indent=2, allow_nan=False))
        return
    _show(found, path.name, dataset)
    click.echo(f"written: {out}")


def _read(path: Path, options: dict[str, Any]) -> tuple[nn.Module, EventDataset]:
    from speckflex.chips.speck import UNBOUNDED
    from speckflex.errors import NetworkError
    from speckflex.networks.files import load_time_stepped

    network = load_time_stepped(path, factory=options["factory"], key=options["key"])
    if network is not None:
        return network, open_data(options)
    model, dataset = read_on_data(path, options, chip=UNBOUNDED.name)
    if model.network is None:
        raise NetworkError(
            f"{path}: is a program, which has no time steps: give the network that it was made"
            " from, or choose --by thresholds or --by decimation"
        )
    return model.network, dataset


def _search(network: nn.Module, dataset: EventDataset, options: dict[str, Any]) -> TimestepSearch:
    from speckflex.recordings.measures import alternate
    from speckflex.training import cache_frames
    from speckflex.training.timestep_search import SearchSettings, search_timesteps

    settings = SearchSettings(
        t_max=options["t_max"],
        budget=options["budget"],
        configurations=options["configurations"],
        fresh=options["fresh"],
        seed=options["seed"],
    )
    dataset = dataset.subset(np.flatnonzero(dataset.labels >= 0))
    with progress_bar("reading recordings", len(dataset)) as advance:
        frames = cache_frames(dataset, settings.t_max, advance=advance)
    chooses = alternate(dataset.labels)
    parts = [frames.select(np.flatnonzero(part)) for part in (chooses, ~chooses)]
    n_settings = settings.configurations + settings.fresh
    with progress_bar("configurations measured in torch", n_settings) as advance:
        return search_timesteps(network, parts[0], parts[1], settings, advance=advance)


def _show(found: TimestepSearch, model: str, dataset: EventDataset) -> None:
    from speckflex.cli.tables import echo_table
    from speckflex.training.timestep_page import search_words

    weights = found.weights or (None,) * len(found.stages)
    errors = found.errors or (None,) * len(found.stages)
    rows = [
        (
            ", ".join(names),
            str(timesteps),
            "-" if weight is None else f"{weight:.4f} +- {error:.4f}",
            f"{rate:.3g}",
        )
        for names, timesteps, weight, error, rate in zip(
            found.stages, found.chosen, weights, errors, found.rates, strict=True
        )
    ]
    kind = "synthetic recordings" if dataset.synthetic else "recordings"
    title = f"{model} in torch, {kind} of {dataset.name}: a chip has no time steps"
    echo_table(("stage", "T", "w +- its error", "spikes a neuron and step"), rows, title=title)
    for words in search_words(found):
        click.echo(words)


def _plain(found: TimestepSearch, dataset: EventDataset, out: Path) -> dict[str, Any]:
    from speckflex._support.commit import commit_of_package
    from speckflex.version import __version__

    return {
        "path": str(out),
        "speckflex": __version__,
        "commit": commit_of_package(),
        "data": dataset.name,
        "synthetic": dataset.synthetic,
        "runs": "in torch, in time steps",
        **asdict(found),
    }
