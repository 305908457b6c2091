"""`speckflex doctor`: what is missing on this machine, and what to do about it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from speckflex.cli.emphasis import echo_report
from speckflex.cli.options import json_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.boards.doctor import Finding

__all__ = ["command"]


@click.command("doctor")
@click.option(
    "--board",
    default="twin",
    show_default=True,
    help="Board that must work: twin, virtual:speck2e, or a chip such as speck2e or speck2f:0.",
)
@json_option
def command(*, board: str, as_json: bool) -> None:
    """Say what this machine has, what is missing for a board, and the remedy.

    Nothing is changed or downloaded, and samna is imported only where the vendor's is installed.
    Exits 1 where something that the board needs is missing.
    """
    from speckflex.boards.doctor import diagnose

    findings = diagnose(board)
    fine = not any(finding.blocks for finding in findings)
    if as_json:
        result = {"board": board, "ok": fine, "findings": [item.to_dict() for item in findings]}
        click.echo(json.dumps(result, indent=2))
    else:
        _show(board, findings, fine=fine)
    if not fine:
        sys.exit(1)


def _show(board: str, findings: Sequence[Finding], *, fine: bool) -> None:
    for finding in findings:
        echo_report(f"{finding.state:8} {finding.subject}: {finding.found}")
        if finding.remedy:
            click.echo(f"{'':8}   remedy: {finding.remedy}")
    click.echo(f"board {board}: {'all that it needs is here' if fine else 'something is missing'}")
