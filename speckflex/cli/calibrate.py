"""`speckflex calibrate`: thresholds and initial states for better answers, with fixed weights."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
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
)
from speckflex.errors import ConversionError
from speckflex.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from speckflex.analysis.calibration import Calibration
    from speckflex.data import EventDataset
    from speckflex.program.program import Program
    from speckflex.recordings.measures import Gain

__all__ = ["command"]

TRIED_PER_LAYER = 8
RECORDINGS_AT_ONCE = 64


@click.command("calibrate")
@model_argument
@out_file_option(".speck")
@data_options
@click.option(
    "--calibrate-on",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Number of the recordings that choose, spread over the classes; all others measure what"
    " was won.",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="How often all layers are gone through.",
)
@model_options
@chip_option
@seed_option
@json_option
def command(model: Path, **options: Any) -> None:
    """Search thresholds and initial states of MODEL on the twin, and write the better program.

    MODEL is a network (.pt, .nir) or a program (.speck) of any origin. Its weights stay as they
    are. What was won is measured on recordings that chose nothing; where nothing is won there, no
    file is written.
    """
    from speckflex.analysis.calibration import calibrate, split_by_class
    from speckflex.cli.progress import progress_bar
    from speckflex.recordings.measures import paired_gain

    converted, dataset = read_on_data(model, options, chip=options["chip"])
    program = converted.program
    first, others = split_by_class(dataset.labels, options["calibrate_on"], seed=options["seed"])
    part = [events for events, _ in dataset.subset(first)]
    total = 1 + options["rounds"] * TRIED_PER_LAYER * len(program.cores)
    with progress_bar("playing programs on the twin", total) as advance:
        found = calibrate(
            program, part, dataset.labels[first], rounds=options["rounds"], advance=advance
        )
    if not found.changes:
        raise ConversionError(
            f"{model.name}: none of {found.n_programs} programs with other thresholds and initial"
            f" states has a lower loss on {len(first)} recordings, so nothing was written: train on"
            " instead, such as with speckflex finetune"
        )
    unseen = dataset.subset(others)
    with progress_bar("measuring what was won", 2 * len(unseen)) as advance:
        gain = paired_gain(*(_right(one, unseen, advance) for one in (program, found.program)))
    _refuse_no_gain(model, found, gain)
    words = f"thresholds and initial states chosen on {len(first)} recordings of {dataset.name}"
    metadata = {**found.program.metadata, "calibration": f"speckflex {__version__}: {words}"}
    calibrated = replace(found.program, metadata=metadata)
    calibrated.save(options["out"])
    _show(replace(found, program=calibrated), gain, len(first), options)


def _right(program: Program, dataset: EventDataset, advance: Any) -> np.ndarray:
    """Return (recording,) bool: whether a program answers right on the twin."""
    import numpy as np

    from speckflex.boards import open_board

    answers = []
    with open_board("twin") as board:
        board.load(program)
        for start in range(0, len(dataset), RECORDINGS_AT_ONCE):
            part = dataset[start : start + RECORDINGS_AT_ONCE]
            answers.append(board.play([events for events, _ in part], keep_events=False).answers())
            advance(len(part))
    return np.concatenate(answers) == dataset.labels


def _refuse_no_gain(model: Path, found: Calibration, gain: Gain) -> None:
    if gain.after <= gain.before:
        raise ConversionError(
            f"{model.name}: on {gain.recordings} recordings that chose nothing {gain.before:.2%}"
            f" are right before and {gain.after:.2%} after (loss {found.loss_before:.3g} to"
            f" {found.loss_after:.3g} where it was chosen), so nothing was written: train on"
            " instead, such as with speckflex finetune, or calibrate on more recordings"
        )


def _show(found: Calibration, gain: Gain, n_first: int, options: dict[str, Any]) -> None:
    from speckflex.cli.tables import echo_table

    if options["as_json"]:
        values = {
            "path": str(options["out"]),
            "sha256": found.program.sha256,
            "changes": [asdict(change) for change in found.changes],
            "loss_before": found.loss_before,
            "loss_after": found.loss_after,
            "calibrated_on": n_first,
            "programs": found.n_programs,
            "gain": asdict(gain),
            "speckflex": __version__,
        }
        click.echo(json.dumps(values, indent=2, allow_nan=False))
        return
    columns = ("layer", "threshold", "new threshold", "start", "new start")
    rows = [tuple(asdict(change).values()) for change in found.changes]
    echo_table(columns, rows, title=f"calibrated on {n_first} recordings")
    low, high = (100 * end for end in gain.interval)
    shown = "" if low > 0 else "; so it may be chance"
    click.echo(
        f"on the twin: {gain.before:.2%} before, {gain.after:.2%} after, on {gain.recordings}"
        f" recordings that chose nothing; won {100 * (gain.after - gain.before):+.1f} points (95 %"
        f" interval {low:+.1f} to {high:+.1f}, McNemar p = {gain.p_value:.2g}){shown}"
    )
    click.echo(f"written: {options['out']}")
