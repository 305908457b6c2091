"""`speckflex boards`: what is attached, and what can stand in for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from speckflex.cli.options import json_option

if TYPE_CHECKING:
    from speckflex.boards.chip.attached import AttachedDevice

__all__ = ["command"]

STAND_INS = (
    ("twin", "software twin: runs a program's integers event by event"),
    ("virtual:speck2e", "virtual Speck2e devkit: the chip's path, over the twin"),
    ("virtual:speck2f", "virtual Speck2f devkit: the chip's path, over the twin"),
    ("replay:FILE", "a recording that was saved, played back"),
)


@click.command("boards")
@json_option
def command(*, as_json: bool) -> None:
    """List the chips that are attached, and the boards that need none.

    Exits 0 also where no chip is attached.
    """
    devices, note = _attached()
    if as_json:
        result: dict[str, Any] = {
            "attached": [device.named() for device in devices],
            "note": note,
            "software": [{"name": name, "what": what} for name, what in STAND_INS],
        }
        click.echo(json.dumps(result, indent=2))
        return
    _show(devices, note)


def _attached() -> tuple[list[AttachedDevice], str]:
    """Return the attached chips, and why there can be none."""
    from speckflex.boards.chip.attached import attached_devices
    from speckflex.errors import BoardError

    try:
        return attached_devices(), ""
    except BoardError as error:
        return [], str(error)


def _show(devices: list[AttachedDevice], note: str) -> None:
    from speckflex.cli.tables import echo_table

    if devices:
        rows = [tuple(device.named().values()) for device in devices]
        echo_table(tuple(devices[0].named()), rows, title="attached")
    else:
        click.echo(f"no chip is attached{f': {note}' if note else ''}")
    echo_table(("name", "what it is"), STAND_INS, title="without a chip")
