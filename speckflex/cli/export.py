"""`speckflex export`: a program as files for samna alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from speckflex.cli.options import OutFileType, existing_file, json_option, slow_clock_option

if TYPE_CHECKING:
    from pathlib import Path

    from speckflex.boards.chip.export import Exported, ExportSettings
    from speckflex.program.program import Program

__all__ = ["command"]

FLASH = ".bin"


@click.command("export")
@click.argument("program", type=existing_file)
@click.option(
    "-o",
    "--out",
    type=OutFileType(".json", other=FLASH),
    required=True,
    help="The .json file to write, or a .bin file: the image for a board's flash, which only"
    " SynSense's samna can make.",
)
@click.option(
    "--script",
    type=OutFileType(),
    metavar="FILE",
    help="Also write a Python script that loads the .json file with samna alone; both must lie in"
    " one folder.",
)
@click.option(
    "--monitor",
    multiple=True,
    type=int,
    default=(-1,),
    show_default=True,
    metavar="LAYER",
    help="Layer whose spikes leave the chip, -1 the last; may be repeated.",
)
@click.option("--sensor", is_flag=True, help="Let the events of the chip's own sensor in.")
@click.option(
    "--readout-layer", is_flag=True, help="Let the last layer feed the chip's readout layer."
)
@slow_clock_option
@json_option
def command(
    program: Path, *, out: Path, script: Path | None, as_json: bool, **options: Any
) -> None:
    """Write the configuration of a chip that runs PROGRAM, a .speck file, for samna.

    With SynSense's samna installed, the JSON is samna's own. Without, it holds the fields that
    speckflex writes by samna's names, which the script of --script sets one by one.
    """
    from speckflex.boards.chip.export import export_configuration, export_flash, export_script
    from speckflex.program.program import Program

    flash = out.suffix.lower() == FLASH
    if script and (flash or script.resolve().parent != out.resolve().parent):
        raise click.UsageError("--script goes with a .json file in the same folder")
    if script and script.resolve() == out.resolve():
        raise click.UsageError("--script and --out name the same file: give two")
    loaded = Program.load(program)
    settings = _settings(loaded, options)
    made = (export_flash if flash else export_configuration)(loaded, settings)
    written = {out: made}
    if script:
        written[script] = export_script(loaded, made, out.name, settings)
    _write(written)
    _show(written, as_json=as_json)


def _settings(program: Program, options: dict[str, Any]) -> ExportSettings:
    from speckflex.boards.chip.export import ExportSettings
    from speckflex.boards.chip.settings import ChipSettings

    n_layers = len(program.cores)
    for layer in options["monitor"]:
        if not -n_layers <= layer < n_layers:
            raise click.BadParameter(
                f"{layer} is not in the program of {n_layers} layers: choose 0 to {n_layers - 1}",
                param_hint="--monitor",
            )
    chip = ChipSettings(slow_clock=options["slow_clock"], readout_layer=options["readout_layer"])
    return ExportSettings(tuple(options["monitor"]), options["sensor"], chip)


def _write(written: dict[Path, Exported]) -> None:
    from speckflex._support.files import write_whole
    from speckflex.errors import FileFormatError

    for path, made in written.items():
        write_whole(path, made.content, FileFormatError)


def _show(written: dict[Path, Exported], *, as_json: bool) -> None:
    if as_json:
        files = [
            {
                "path": str(path),
                "sha256": made.sha256,
                "layout": made.layout,
                "program_sha256": made.program_sha256,
            }
            for path, made in written.items()
        ]
        click.echo(json.dumps({"files": files}, indent=2))
        return
    for path, made in written.items():
        click.echo(
            f"{path}: {len(made.content)} bytes, sha256 {made.sha256}, of program"
            f" {made.program_sha256[:12]}"
        )
    if next(iter(written.values())).layout == "speckflex":
        click.echo(
            "note: SynSense's samna is not installed here, so the fields stand by samna's names and"
            " not in samna's own JSON: load them with the script of --script"
        )
