"""`speckflex convert`: convert a network to a `.speck` program."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import click

from speckflex.cli.data_options import on_input, sensor_of
from speckflex.cli.emphasis import emphasised, wants_colour
from speckflex.cli.options import (
    chip_option,
    json_option,
    model_argument,
    model_options,
    out_file_option,
    slow_clock_option,
    take_nir_options,
)
from speckflex.cli.progress import stage
from speckflex.errors import ConversionError
from speckflex.program.event_filter import EventFilter

if TYPE_CHECKING:
    from pathlib import Path

    from speckflex.conversion.model import ConvertedModel
    from speckflex.data import EventDataset
    from speckflex.program.event_filter import FilterMode

__all__ = ["command"]

FILTER_MODES: dict[str, FilterMode] = {
    "noise": "noise",
    "hot-pixel": "noise and hot pixels",
    "low-pass": "low pass",
}


class FilterType(click.ParamType):
    """An event filter given as `noise`, `noise,3` or `hot-pixel,3,2x1`."""

    name = "MODE[,TICKS[,HxW]]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> EventFilter:
        """Return the filter; HxW is how far its neighbourhood reaches, in y and in x."""
        if isinstance(value, EventFilter):
            return value
        found = re.fullmatch(r"([a-z-]+)(?:,(\d+)(?:,(\d+)x(\d+))?)?", str(value))
        if found is None or found[1] not in FILTER_MODES:
            self.fail(
                f"{value!r} is no filter: give {', '.join(FILTER_MODES)}, or such as noise,3,1x1"
            )
        size = (int(found[3] or 1), int(found[4] or 1))
        try:
            return EventFilter(FILTER_MODES[found[1]], size, int(found[2] or 1))
        except ConversionError as error:
            self.fail(str(error), param, ctx)


@click.command("convert")
@model_argument
@out_file_option(".speck", other=".nir", use="the network in the chip's integers")
@model_options
@chip_option
@click.option(
    "--event-filter",
    type=FilterType(),
    help="Let the chip drop noise before the first layer. Give the mode (noise, hot-pixel or"
    " low-pass), the number of ticks of the slow clock that it looks back, and how far neighbours"
    " may be in y and x, such as noise,3,1x1. Boards then need --slow-clock.",
)
@click.option(
    "--golden",
    metavar="PATH|NAME",
    help="Put known answers to recordings into the file, for speckflex verify: a folder or file of"
    " recordings, or a name such as synthetic-digits.",
)
@click.option(
    "--golden-samples",
    type=click.IntRange(1, 100),
    default=3,
    show_default=True,
    help="Number of these recordings.",
)
@slow_clock_option
@json_option
def command(
    model: Path,
    *,
    out: Path,
    event_filter: EventFilter | None,
    golden: str | None,
    golden_samples: int,
    slow_clock: float | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Convert the network in MODEL to the chip's integers and write them to a .speck file.

    If the name of the output ends in .nir, the command writes a NIR graph of the same integers for
    other simulators; then MODEL may also be a .speck file.
    """
    to_nir = out.suffix.lower() == ".nir"
    _refuse_misuse(model, to_nir=to_nir, event_filter=event_filter, golden=golden)
    nir = take_nir_options(options)
    with stage(f"loading {model.name}") as tell:
        from speckflex.conversion.model import read_model
        from speckflex.conversion.options import ConversionOptions

        recordings = None if golden is None else _recordings(golden, golden_samples)
        if recordings is not None:
            options["input_shape"] = options["input_shape"] or sensor_of(recordings)
        converted = read_model(
            model,
            nir=nir,
            progress=tell,
            options=ConversionOptions(event_filter=event_filter),
            **options,
        )
    with stage("playing for known answers" if recordings else f"writing {out.name}"):
        _save(converted, out, recordings, slow_clock)
    _show(converted, out, as_json=as_json)


def _refuse_misuse(
    model: Path, *, to_nir: bool, event_filter: EventFilter | None, golden: str | None
) -> None:
    is_program = model.suffix.lower() == ".speck"
    if is_program and not to_nir:
        raise click.UsageError(
            f"{model} is a program already: give the network that it was made from"
        )
    if is_program and event_filter is not None:
        raise click.UsageError(f"{model} is a program already: leave --event-filter out")
    if to_nir and golden is not None:
        raise click.UsageError("--golden puts known answers into a .speck file: leave it out")


def _save(
    converted: ConvertedModel, out: Path, recordings: EventDataset | None, slow_clock: float | None
) -> None:
    """Write the program, with known answers to the recordings if there are any."""
    from speckflex.deployment.known_answers import golden_of
    from speckflex.networks.nir.export import save_nir

    program = converted.program
    if out.suffix.lower() == ".nir":
        save_nir(program, out)
    elif recordings is None:
        program.save(out)
    else:
        on_network = on_input(recordings, program.input.shape)
        program.save(out, golden=golden_of(converted, on_network, slow_clock=slow_clock))


def _show(converted: ConvertedModel, out: Path, *, as_json: bool) -> None:
    checks = [check for check in converted.checks if check.severity != "note"]
    if as_json:
        result = {
            "path": str(out),
            "sha256": converted.program.sha256,
            "layers": len(converted.program.cores),
            "checks": [check.to_dict() for check in converted.checks],
        }
        click.echo(json.dumps(result, indent=2, allow_nan=False))
        return
    for check in checks:
        line = emphasised(f"{check.severity}: {check.sentence}")
        click.echo(line, err=True, color=wants_colour())
    click.echo(f"{len(converted.program.cores)} layers -> {out} ({converted.program.sha256[:12]})")


def _recordings(source: str, n_samples: int) -> EventDataset:
    """Return the first recordings of a source, balanced over its classes."""
    from speckflex.data import open_dataset

    return open_dataset(source, limit=n_samples)
