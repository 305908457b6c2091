"""`speckflex verify`: whether a board runs a file as the twin does, in seconds."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from speckflex.cli.bars import MISSED_BAR
from speckflex.cli.emphasis import echo_report
from speckflex.cli.options import existing_file, json_option
from speckflex.cli.progress import stage

if TYPE_CHECKING:
    from pathlib import Path

    from speckflex.analysis.golden import Verification

__all__ = ["command"]


@click.command("verify")
@click.argument("program", type=existing_file)
@click.option(
    "--board",
    default="speck2e",
    show_default=True,
    help="Board to verify: speck2e:0, speck2f:SERIAL, virtual:speck2e, twin. It must be there.",
)
@json_option
def command(program: Path, *, board: str, as_json: bool) -> None:
    """Say whether a board runs PROGRAM, a .speck file, as its known answers say.

    `speckflex convert --golden DATA` puts known answers into the file: a few inputs, the outputs of
    torch and of the twin, and how far a board may differ from these. Exits 4 if the board differs
    more.
    """
    with stage(f"playing the known answers of {program.name} on {board}"):
        found = _verify(program, board)
    _show(found, as_json=as_json)
    if not found.fine:
        sys.exit(MISSED_BAR)


def _verify(program: Path, board: str) -> Verification:
    from speckflex.analysis.golden import verify_board
    from speckflex.boards import open_board
    from speckflex.boards.family import find_family
    from speckflex.errors import FileFormatError
    from speckflex.program.golden import Golden
    from speckflex.program.program import Program

    loaded, golden = Program.load(program), Golden.load(program)
    if golden is None:
        raise FileFormatError(
            f"{program}: holds no known answers: convert its network again with --golden DATA"
        )
    settings = find_family(board).accepted({"slow_clock": golden.slow_clock})
    with open_board(board, **settings) as opened:
        return verify_board(opened, loaded, golden)


def _show(found: Verification, *, as_json: bool) -> None:
    if as_json:
        result = {"ok": found.fine, "verdict": found.sentence, **asdict(found)}
        for layer in result["layers"]:
            # JSON has no infinity: a layer that must be silent and is not
            if layer["difference"] == float("inf"):
                layer["difference"] = "infinite"
        click.echo(json.dumps(result, indent=2, allow_nan=False))
        return
    from speckflex.cli.tables import echo_table

    echo_table(
        ("layer", "spike difference", "floor", ""),
        [
            (one.name, one.difference, one.floor, "" if one.fine else "too large")
            for one in found.layers
        ],
        wrong={"too large"},
    )
    same = sum(twin == board for _, twin, board in found.answers)
    program = found.program_sha256[:12]
    click.echo(f"{found.samples} samples of program {program}: {same} answers as the twin's")
    echo_report(found.sentence)
