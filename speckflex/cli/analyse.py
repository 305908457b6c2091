"""`speckflex analyse`: how much noise networks withstand, and how flat their minima are."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from speckflex.cli.data_options import data_options, read_on_data
from speckflex.cli.options import (
    OutFileType,
    existing_file,
    json_option,
    model_options,
    seed_option,
    threads_option,
)
from speckflex.cli.progress import show_stages, stage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from speckflex.conversion.model import ConvertedModel
    from speckflex.data import EventDataset
    from speckflex.training.analyse import Analysis

__all__ = ["command"]

UNITS = {"weights": "up to {:g}", "noise events": "{:g} a second", "lost events": "{:.0%}"}


@click.command("analyse")
@click.argument("models", type=existing_file, nargs=-1, required=True)
@data_options
@model_options
@click.option(
    "--runs",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Number of runs at each level of a noise.",
)
@click.option(
    "--bins",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Number of time steps in torch.",
)
@click.option(
    "-o",
    "--out",
    type=OutFileType(".svg", other=(".pdf", ".html", ".csv")),
    help="The file to write: all curves as a page (.html) or a picture (.svg, .pdf), or all points"
    " (.csv).",
)
@threads_option
@seed_option
@json_option
def command(models: tuple[Path, ...], *, out: Path | None, as_json: bool, **options: Any) -> None:
    """Measure what noise costs the networks in MODELS (.pt, .nir or .speck), side by side.

    On the twin: weights that are off, noise events of the sensor, lost events. In torch, where
    there is a network: noise on the weights, the loss around the minimum, and gradients.
    """
    analyses, recordings = [], None
    for path in models:
        model, recordings = _read(path, options)
        analyses.append(_analyse(model, recordings, options))
    if out is not None:
        _write(analyses, recordings, out)
    if as_json:
        click.echo(json.dumps(_plain(analyses, recordings), indent=2, allow_nan=False))
        return
    for analysis in analyses:
        _show(analysis)
    if out is not None:
        click.echo(f"written: {out}")


def _read(path: Path, options: dict[str, Any]) -> tuple[ConvertedModel, EventDataset]:
    with stage(f"loading, folding and converting {path.name}"):
        from speckflex.chips.speck import UNBOUNDED

        return read_on_data(path, options, chip=UNBOUNDED.name)


def _analyse(model: ConvertedModel, dataset: EventDataset, options: dict[str, Any]) -> Analysis:
    from speckflex.deployment.progress import Progress
    from speckflex.training.analyse import AnalyseSettings, analyse

    settings = AnalyseSettings(
        options["runs"], options["seed"], options["bins"], options["threads"]
    )
    with show_stages() as watch:
        return analyse(model, dataset, settings, watch=lambda part: watch(Progress(part)))


def _write(analyses: Sequence[Analysis], recordings: EventDataset | None, out: Path) -> None:
    from speckflex._support.files import write_whole
    from speckflex.errors import FileFormatError
    from speckflex.training.analysis_page import analysis_csv, analysis_page

    suffix = out.suffix.lower()
    if suffix == ".html":
        name = recordings.name if recordings else ""
        synthetic = recordings.synthetic if recordings else False
        write_whole(out, analysis_page(analyses, name, synthetic=synthetic), FileFormatError)
    elif suffix == ".csv":
        write_whole(out, analysis_csv(analyses), FileFormatError)
    else:
        from speckflex._support.pictures import save_picture
        from speckflex.training.analysis_plot import plot_analyses

        save_picture(plot_analyses(analyses), out)


def _show(analysis: Analysis) -> None:
    from speckflex.cli.tables import echo_table

    rows = []
    for curve in analysis.curves:
        lost = curve.until_a_point
        rows.append((curve.kind, "none", f"{curve.plain:.2%}", "", ""))
        rows += [
            (
                "",
                UNITS[curve.kind].format(point.level),
                f"{point.mean:.2%}",
                f"{point.lowest:.2%} to {point.highest:.2%}",
                "",
            )
            for point in curve.points
        ]
        point_lost = "not reached" if lost is None else f"{lost:.3g}"
        rows.append(("", "a point is lost at", "", "", point_lost))
    title = f"{analysis.model}, {analysis.samples} samples, on the twin"
    echo_table(("noise", "level", "accuracy", "lowest to highest", "level"), rows, title=title)
    flat = analysis.flatness
    if flat is None:
        return
    measures = (
        ("sigma on the weights", flat.sigmas, flat.accuracies),
        ("sigma on the input's counts", flat.input_sigmas, flat.input_accuracies),
    )
    for name, sigmas, accuracies in measures:
        rows = [
            (f"{sigma:g}", f"{mean:.2%}", f"{low:.2%} to {high:.2%}")
            for sigma, (mean, low, high) in zip(sigmas, accuracies, strict=True)
        ]
        title = f"{analysis.model} in torch, in time steps: nothing of this is a chip's"
        echo_table((name, "accuracy", "lowest to highest"), rows, title=title)
    middle = flat.losses[len(flat.losses) // 2]
    click.echo(
        f"loss {middle:.3g}, at the ends of the landscape {flat.losses[0]:.3g} and"
        f" {flat.losses[-1]:.3g}; gradient on the weights {flat.gradients.weights:.3g}, on the"
        f" frames of a recording {flat.gradients.inputs:.3g}"
    )


def _plain(analyses: Sequence[Analysis], recordings: EventDataset | None) -> dict[str, Any]:
    from speckflex._support.commit import commit_of_package
    from speckflex.version import __version__

    return {
        "speckflex": __version__,
        "commit": commit_of_package(),
        "data": recordings.name if recordings else "",
        "synthetic": recordings.synthetic if recordings else False,
        "analyses": [asdict(analysis) for analysis in analyses],
    }
