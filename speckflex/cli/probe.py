"""`speckflex probe`: find out by experiments what no document says about a board."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from speckflex.cli.options import OutFileType, json_option

if TYPE_CHECKING:
    from pathlib import Path

    from speckflex.boards.probe_file import Finding, ProbeFile

__all__ = ["command"]


@click.command("probe")
@click.argument("board")
@click.option(
    "-o",
    "--out",
    type=OutFileType(".json"),
    help="The .json file to write, for --board twin?probe=FILE and to share.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help="Run this experiment alone; may be repeated. [default: all]",
)
@json_option
def command(board: str, *, out: Path | None, only: tuple[str, ...], as_json: bool) -> None:
    """Run experiments on BOARD that settle what no document says about it.

    BOARD is a devkit, such as speck2f:0 or virtual:speck2f. Takes less than five minutes and
    changes what the board runs. The file holds serial number, versions, and what each experiment
    saw and found. A twin and a virtual devkit open with it: --board twin?probe=FILE.
    """
    from speckflex.boards.chip.bench import open_bench
    from speckflex.probing.probe import EXPERIMENTS, probe

    known = {experiment.name: experiment for experiment in EXPERIMENTS}
    for name in only:
        if name not in known:
            raise click.BadParameter(
                f"{name!r} is no experiment: choose from {', '.join(known)}", param_hint="--only"
            )
    chosen = [known[name] for name in known if name in only or not only]
    with open_bench(board) as bench:
        click.echo(f"board: {bench.name}, {len(chosen)} experiments", err=as_json)
        found = probe(bench, chosen, progress=lambda finding: _show(finding, err=as_json))
    if out:
        found.save(out)
    if as_json:
        click.echo(json.dumps(found.to_plain(), indent=2))
        return
    _sum_up(found, out)


def _show(finding: Finding, *, err: bool) -> None:
    click.echo(f"{finding.name:24} {finding.outcome}", err=err)


def _sum_up(found: ProbeFile, out: Path | None) -> None:
    asked = [finding for finding in found.findings if finding.hypotheses]
    settled = sum(bool(finding.answer) for finding in asked)
    click.echo(f"{settled} of {len(asked)} questions settled in {found.seconds:g} s")
    if out:
        click.echo(f"written: {out}; open a twin of this board with --board twin?probe={out}")
