"""`speckflex tune`: fewer synaptic operations for little accuracy."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from speckflex.cli.data_options import data_options, read_on_data
from speckflex.cli.options import (
    chip_option,
    json_option,
    model_argument,
    model_options,
    out_file_option,
    seed_option,
    threads_option,
)
from speckflex.cli.progress import progress_bar, stage

if TYPE_CHECKING:
    from pathlib import Path

    from speckflex.analysis.tuning import Tuning
    from speckflex.data import EventDataset
    from speckflex.recordings.measures import Gain

__all__ = ["command"]


@click.command("tune")
@model_argument
@click.option(
    "--budget",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.7,
    show_default=True,
    metavar="SHARE",
    help="Load that every core may have, as a share of that of the busiest core now; with"
    " timesteps, of the spikes with --t-max everywhere.",
)
@click.option(
    "--by",
    "space",
    type=click.Choice(["thresholds", "decimation", "timesteps"]),
    default="thresholds",
    show_default=True,
    help="How spikes become fewer: each worth more by the thresholds, or one of 2, 4 or 8 passed on"
    " by the core's decimator; or fewer time steps of a network in torch.",
)
@out_file_option(".speck", other=".html", use="the time steps of --by timesteps")
@data_options
@model_options
@chip_option
@click.option(
    "--configurations",
    type=click.IntRange(min=3),
    default=18,
    show_default=True,
    help="Number of settings that are drawn and played to fit the model of the accuracy.",
)
@click.option(
    "--t-max",
    type=click.IntRange(min=2),
    default=6,
    show_default=True,
    help="Largest number of time steps of a stage (timesteps).",
)
@click.option(
    "--fresh",
    type=click.IntRange(min=2),
    default=18,
    show_default=True,
    help="Number of further settings that check the model (timesteps).",
)
@threads_option
@seed_option
@json_option
def command(model: Path, *, out: Path, as_json: bool, **options: Any) -> None:
    """Write a .speck file of MODEL whose busiest core has less to do.

    Layers send fewer spikes that are worth more. Half of the recordings choose how many, the others
    judge what it costs in accuracy. Everything is played on the twin. With --by timesteps it is the
    time steps of each stage of a network in torch that are chosen, and a page is written.
    """
    by_timesteps = options["space"] == "timesteps"
    if (out.suffix.lower() == ".html") is not by_timesteps:
        wanted = "the .html page" if by_timesteps else "the .speck file"
        raise click.UsageError(f"--by {options['space']} writes {wanted}: {out} is named otherwise")
    if by_timesteps:
        from speckflex.cli.tune_timesteps import tune_timesteps

        tune_timesteps(model, out, {**options, "as_json": as_json})
        return
    tuning, recordings = _tune(model, options)
    tuning.program.save(out)
    if as_json:
        plain = {"path": str(out), "sha256": tuning.program.sha256, **_plain(tuning, recordings)}
        click.echo(json.dumps(plain, indent=2, allow_nan=False))
        return
    _show(tuning, recordings)
    click.echo(f"written: {out}")


def _tune(path: Path, options: dict[str, Any]) -> tuple[Tuning, EventDataset]:
    with stage(f"loading, folding and converting {path.name}"):
        from speckflex.analysis.tuning import TuneSettings, split_samples, tune_program
        from speckflex.data.order import OrderWatch

        model, dataset = read_on_data(path, options, chip=options["chip"])
        order = OrderWatch()
        events = [events for events, _ in order.over(dataset)]
    for warning in order.warnings:
        click.echo(f"warning: {warning}", err=True)
    settings = TuneSettings(
        budget=options["budget"],
        space=options["space"],
        configurations=options["configurations"],
        seed=options["seed"],
        threads=options["threads"],
    )
    done = 0
    choosing, judging = split_samples(events, dataset.labels)
    with progress_bar("settings played on the twin", settings.most_plays) as advance:

        def watch(now: int, _: int) -> None:
            nonlocal done
            advance(now - done)
            done = now

        return tune_program(model.program, choosing, judging, settings, watch=watch), dataset


def _show(tuning: Tuning, recordings: EventDataset) -> None:
    from speckflex.cli.tables import echo_table

    rows = [
        (
            layer.name,
            f"{layer.scale:g}",
            f"{layer.threshold[0]} -> {layer.threshold[1]}",
            f"{layer.spikes[0]:.0f} -> {layer.spikes[1]:.0f}",
            f"{layer.load[0] / 1e6:.3g} -> {layer.load[1] / 1e6:.3g} M",
            f"{layer.weights_above_threshold[0]:.1%} -> {layer.weights_above_threshold[1]:.1%}",
        )
        for layer in tuning.layers
    ]
    columns = ("layer", "scale", "threshold", "spikes a sample", "SynOps/s", "weights >= threshold")
    kind = "synthetic recordings" if recordings.synthetic else "recordings"
    n_judging = tuning.gain.recordings
    echo_table(columns, rows, title=f"{n_judging} {kind} that chose nothing, on the twin")
    before, after = tuning.busiest
    click.echo(
        f"busiest core: {before / 1e6:.3g} -> {after / 1e6:.3g} million SynOps/s,"
        f" {after / before:.2f} of before (budget {tuning.budget:g})"
    )
    click.echo(f"accuracy: {_gain_words(tuning.gain)}")
    chosen = tuning.chosen_accuracy
    click.echo(
        f"chosen on {tuning.chosen_on} others, {chosen[0]:.2%} -> {chosen[1]:.2%}, of"
        f" {tuning.tried} settings that were played; {tuning.model}"
    )


def _gain_words(gain: Gain) -> str:
    low, high = (100 * end for end in gain.interval)
    won = 100 * (gain.after - gain.before)
    return (
        f"{gain.before:.2%} -> {gain.after:.2%}, {won:+.2f} points (95 % interval for pairs"
        f" {low:+.2f} to {high:+.2f}, McNemar p = {gain.p_value:.2g})"
    )


def _plain(tuning: Tuning, recordings: EventDataset) -> dict[str, Any]:
    from speckflex._support.commit import commit_of_package
    from speckflex.version import __version__

    values = {name: value for name, value in vars(tuning).items() if name != "program"}
    values["layers"] = [asdict(layer) for layer in tuning.layers]
    values["gain"] = asdict(tuning.gain)
    values["answers"] = tuning.answers.tolist()
    return {
        "speckflex": __version__,
        "commit": commit_of_package(),
        "synthetic": recordings.synthetic,
        "data": recordings.name,
        **values,
    }
