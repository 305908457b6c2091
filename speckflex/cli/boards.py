"""`speckflex boards`: what is attached, and what can stand in for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from speckflex.cli.options import json_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.boards.chip.attached import AttachedDevice
    from speckflex.boards.family import BoardFamily

__all__ = ["command"]


@click.command("boards")
@json_option
def command(*, as_json: bool) -> None:
    """List the chips that are attached, and the boards that need none.

    Exits 0 also where no chip is attached.
    """
    from speckflex.boards.family import find_families

    families = find_families()
    devices, note = _attached()
    if as_json:
        result: dict[str, Any] = {
            "attached": [device.named() for device in devices],
            "note": note,
            "software": [
                {"name": name, "what": what} for name, what in _names(families, chips=False)
            ],
            "families": [_facts(family) for family in families],
        }
        click.echo(json.dumps(result, indent=2))
        return
    _show(devices, note, families)


def _attached() -> tuple[list[AttachedDevice], str]:
    """Return the attached chips, and why there can be none."""
    from speckflex.boards.chip.attached import attached_devices
    from speckflex.errors import BoardError

    try:
        return attached_devices(), ""
    except BoardError as error:
        return [], str(error)


def _names(families: Sequence[BoardFamily], *, chips: bool) -> list[tuple[str, str]]:
    """Return the boards that can always be opened, with what they are.

    Args:
        families: all families.
        chips: whether to list chips that are reached without samna, or software.
    """
    chosen = [family for family in families if family.is_chip == chips and not family.needs_samna]
    # the twin first, which most users open
    chosen.sort(key=lambda family: (not family.is_twin, not family.is_devkit))
    return [row for family in chosen for row in family.names or ((family.name, family.label),)]


def _facts(family: BoardFamily) -> dict[str, Any]:
    return {
        "family": family.name,
        "kind": family.kind,
        "what": family.label,
        "chip": family.is_chip,
        "settings": list(family.settings),
    }


def _show(devices: list[AttachedDevice], note: str, families: Sequence[BoardFamily]) -> None:
    from speckflex.cli.tables import echo_table

    if devices:
        rows = [tuple(device.named().values()) for device in devices]
        echo_table(tuple(devices[0].named()), rows, title="attached")
    else:
        click.echo(f"no chip is attached{f': {note}' if note else ''}")
    for title, chips in (("chips elsewhere", True), ("without a chip", False)):
        rows = _names(families, chips=chips)
        if rows:
            echo_table(("name", "what it is"), rows, title=title)
