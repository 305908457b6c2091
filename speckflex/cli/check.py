"""`speckflex check`: show what a network costs on the chip, before it is uploaded."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from speckflex.cli.data_options import data_options, on_input, open_data, sensor_of
from speckflex.cli.emphasis import echo_report
from speckflex.cli.options import (
    chip_option,
    json_option,
    model_argument,
    model_options,
    seed_option,
    slow_clock_option,
    take_nir_options,
)
from speckflex.cli.progress import stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from speckflex.analysis.core_load import LayerLoad
    from speckflex.data import EventDataset
    from speckflex.fitting.check import CheckTable, LayerCost

__all__ = ["command"]

# Options that decide what the table says.
DECISIVE = ("input_shape", "key", "dt", "lower_bound")


@click.command("check")
@model_argument
@model_options
@chip_option
@click.option(
    "--diagram",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw the layers on their cores into this SVG file.",
)
@partial(data_options, default=" [default: none are played]")
@slow_clock_option
@seed_option
@json_option
def command(model: Path, *, diagram: Path | None, as_json: bool, **options: Any) -> None:
    """Show whether the network in MODEL fits the chip, layer by layer, and what prevents it.

    The first line is the verdict. All findings follow the table of layers.

    With --data the command plays the recordings on the twin and shows whether the cores keep up
    with the synaptic operations. The rate of a core is unverified, so an overload is only a
    warning. The command exits with 1 if the network does not fit.
    """
    with stage(f"loading {model.name}") as tell:
        from speckflex.chips import find_chip
        from speckflex.fitting.kept_tables import KeptTable

        kept = KeptTable(None)
        if not (options["data"] or diagram or options["factory"]):
            chosen = {name: options[name] for name in DECISIVE}
            kept = KeptTable.of(model, find_chip(options["chip"]), chosen)
        table, dataset = kept.read(), None
        if table is None:
            from speckflex.conversion.model import stated_shape

            options["input_shape"] = options["input_shape"] or stated_shape(model)
            dataset = open_data(options) if options["data"] else None
            table = _check(model, dataset, options, tell)
            kept.write(table)
    if diagram is not None:
        _draw(table, diagram)
    if not as_json:
        # before the recordings, which may take long
        _show(table)
    with stage("playing on the twin"):
        loads, warnings = _play(table, dataset, options["slow_clock"])
    if as_json:
        _show_as_json(table, loads, warnings)
    else:
        _show_load(loads, warnings)
    if table.errors:
        sys.exit(1)


def _check(
    model: Path,
    dataset: EventDataset | None,
    options: dict[str, Any],
    tell: Callable[[str], None],
) -> CheckTable:
    """Check the model for the input shape that was given, else for the one that it can have."""
    from speckflex.conversion.model import check_model

    return check_model(
        model,
        input_shape=options["input_shape"] or (sensor_of(dataset) if dataset else None),
        chip=options["chip"],
        factory=options["factory"],
        key=options["key"],
        nir=take_nir_options(options),
        progress=tell,
    )


def _play(
    table: CheckTable, dataset: EventDataset | None, slow_clock: float | None
) -> tuple[Sequence[LayerLoad], Sequence[str]]:
    """Return the load of the cores and warnings about the recordings, if any are played."""
    if dataset is None or table.program is None or table.errors:
        return (), ()
    # after the question whether there is anything to play, since they load numba
    from speckflex.analysis.core_load import measure_load
    from speckflex.data.order import OrderWatch
    from speckflex.twin.settings import TwinSettings

    watch = OrderWatch()
    dataset = on_input(dataset, table.program.input.shape)
    samples = [events for events, _ in watch.over(dataset)]
    loads = measure_load(table.program, samples, settings=TwinSettings.ticking(slow_clock))
    return loads, watch.warnings


def _draw(table: CheckTable, diagram: Path) -> None:
    """Draw the program, without its cores where it does not fit."""
    from speckflex.fitting.placement import without_cores
    from speckflex.report.charts.network_diagram import write_network_diagram

    program = table.program
    if program is None:
        click.echo(f"{diagram}: not drawn, because the network can't be converted", err=True)
        return
    write_network_diagram(without_cores(program) if table.errors else program, diagram)


def _show_as_json(table: CheckTable, loads: Sequence[LayerLoad], warnings: Sequence[str]) -> None:
    facts = {
        **table.to_dict(),
        "load": [asdict(load) for load in loads],
        "keeps_up": all(load.passed for load in loads) if loads else None,
        "data": {"warnings": list(warnings)},
    }
    click.echo(json.dumps(facts, indent=2, allow_nan=False))


def _show_load(loads: Sequence[LayerLoad], warnings: Sequence[str]) -> None:
    if not (loads or warnings):
        return
    from speckflex.report.spelling import milliseconds

    for sentence in warnings:
        echo_report(f"warning: {sentence}")
    for load in loads:
        severity = "note" if load.passed else "warning"
        echo_report(
            f"{severity}: {load.name}: {load.verdict}: {load.demand / 1e6:.3g} million synaptic"
            f" operations per second are asked of its core ({load.factor:.2g} times its rate),"
            f" {load.served / 1e6:.3g} million are served, an event waits up to"
            f" {milliseconds(load.longest_wait)}{_held_up(load)} (at an"
            " unverified rate)"
        )
    if loads:
        behind = ", ".join(load.name for load in loads if not load.passed)
        verdict = f"does not keep up: {behind}" if behind else "keeps up"
        echo_report(f"with these recordings and at an unverified rate, the chip {verdict}")


def _held_up(load: LayerLoad) -> str:
    """Return a clause about events that wait because a core is full; "" where none do."""
    from speckflex.report.spelling import milliseconds

    clause = ""
    if load.stalled:
        clause += f", it stalls for {milliseconds(load.stalled)} because a core behind it is full"
    if load.input_wait:
        clause += f", the input waits for it for up to {milliseconds(load.input_wait)}"
    return clause


def _show(table: CheckTable) -> None:
    from speckflex.cli.tables import echo_table

    echo_report(table.verdict)
    columns = ("layer", "type", "core", "kernel words", "neuron words", "bias words", "fits cores")
    rows = [
        (
            layer.name,
            _type(layer),
            layer.core,
            *(f"{need} of {have}" for need, have in _needs(layer)),
            " ".join(map(str, layer.fitting_cores)) or "none",
        )
        for layer in table.layers
    ]
    if rows:
        echo_table(columns, rows, title=f"on {table.chip}", wrong={"none"})
    for check in table.checks:
        echo_report(f"{check.severity}: {check.sentence}")


def _type(layer: LayerCost) -> str:
    """Return the type of a layer and the pooling after it, such as "conv 3x3 stride 2, pool 4"."""
    text = layer.kind
    if layer.kind == "conv":
        text += f" {_by(layer.kernel)}"
        if layer.stride != (1, 1):
            text += f" stride {_by(dict.fromkeys(layer.stride))}"
    pools = sorted({window for window in layer.pooling if window > 1})
    return ", ".join([text, *(f"pool {window}" for window in pools)])


def _by(sides: Iterable[int]) -> str:
    return "x".join(map(str, sides))


def _needs(layer: LayerCost) -> list[tuple[int, int | str]]:
    """Return (need, have) words of the kernel, neuron and bias memories."""
    needs = (layer.kernel_words, layer.neuron_words, layer.bias_words)
    return list(zip(needs, layer.holds or ("-", "-", "-"), strict=True))
