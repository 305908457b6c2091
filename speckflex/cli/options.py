"""Options that have the same meaning in every command."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from speckflex._support.files import suffix_problem
from speckflex.chips import CHIPS, DEFAULT_CHIP, find_chip
from speckflex.errors import SpeckflexError

if TYPE_CHECKING:
    from speckflex.networks.nir.options import NirOptions

__all__ = [
    "OutFileType",
    "OutFolderType",
    "ShapeType",
    "chip_option",
    "existing_file",
    "json_option",
    "model_argument",
    "model_options",
    "nir_options",
    "out_file_option",
    "out_folder_option",
    "seed_option",
    "slow_clock_option",
    "take_nir_options",
    "threads_option",
    "weights_options",
]

existing_file = click.Path(exists=True, dir_okay=False, path_type=Path)


class ShapeType(click.ParamType):
    """A shape given as `2,34,34` or `2x34x34`: channels, height, width."""

    name = "C,H,W"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int, int]:
        """Return three positive integers."""
        if isinstance(value, tuple):
            return value
        parts = str(value).replace("x", ",").split(",")
        if len(parts) != 3 or not all(part.strip().isdecimal() and int(part) for part in parts):
            self.fail(f"{value!r} is not a shape: write three positive numbers, such as 2,34,34")
        channels, height, width = (int(part) for part in parts)
        return channels, height, width


class ChipType(click.ParamType):
    """The name of a chip, of this package or of another one that adds it."""

    name = "|".join(CHIPS)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name of a known chip."""
        try:
            return find_chip(value).name
        except SpeckflexError as error:
            self.fail(str(error), param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return the names of this package's chips, in small letters as they are written."""
        return f"[{self.name}]"


model_argument = click.argument("model", type=existing_file)

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as JSON on standard output."
)

slow_clock_option = click.option(
    "--slow-clock",
    type=click.FloatRange(min=0, min_open=True),
    metavar="HZ",
    help="Rate of the board's slow clock; event filters and biases need one. [default: none]",
)

threads_option = click.option(
    "--threads", type=click.IntRange(min=1), help="Threads of the twin. [default: all processors]"
)

seed_option = click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of all random choices.",
)

chip_option = click.option(
    "--chip",
    type=ChipType(),
    default=DEFAULT_CHIP,
    show_default=True,
    help="Chip to convert for; unbounded is any size, for the twin alone.",
)


class ShardType(click.ParamType):
    """A part of a deployment, given as `3/64`."""

    name = "K/N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a `Shard`."""
        from speckflex.deployment.shards import Shard

        if isinstance(value, Shard):
            return value
        try:
            return Shard.parse(value)
        except SpeckflexError as error:
            self.fail(str(error), param, ctx)


class OutFolderType(click.Path):
    """A folder to write to; the option is refused if the folder can't be made."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; the nearest folder that exists must be writable."""
        folder = Path(os.fsdecode(super().convert(value, param, ctx)))
        nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
            self.fail(f"{str(nearest)!r} is not a writable folder: choose another", param, ctx)
        return folder


class OutFileType(click.Path):
    """A file to write; the option is refused if the file's folder can't be written to.

    Args:
        suffix: of the format that is written; the suffix of another format is refused. "" accepts
            all.
        other: the suffix of a second format that can be written, or several; "" for none.
    """

    def __init__(self, suffix: str = "", *, other: str | tuple[str, ...] = "") -> None:
        super().__init__(dir_okay=False, path_type=Path)
        self.suffix = suffix
        self.others = (other,) if isinstance(other, str) else other

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; its folder must exist and be writable."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if not path.parent.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
            problem = f"{str(path.parent)!r} is not a writable folder: make it, or choose another"
            self.fail(problem, param, ctx)
        taken = not self.suffix or path.suffix.lower() in filter(None, self.others)
        problem = "" if taken else suffix_problem(path, self.suffix)
        if problem:
            self.fail(problem, param, ctx)
        return path


def out_file_option(suffix: str, *, other: str = "", use: str = "") -> Any:
    """Return the option for a command's only output file.

    Args:
        suffix: of the file.
        other: the suffix of a second format that can be written; "" for none.
        use: what the second format is for, for the help text.
    """
    return click.option(
        "-o",
        "--out",
        type=OutFileType(suffix, other=other),
        required=True,
        help=f"The {suffix} file to write{f', or a {other} file: {use}' if other else ''}.",
    )


out_folder_option = click.option(
    "-o",
    "--out",
    "out",
    type=OutFolderType(),
    help="Folder for the program, the recordings and the report.",
)


def nir_options(function: Any) -> Any:
    """Add the options for what a NIR graph does not state; `take_nir_options` reads them."""
    function = click.option(
        "--lower-bound",
        type=click.FloatRange(max=0),
        metavar="V",
        help="Lower bound of the potentials in a NIR graph, which does not state it; -inf for no"
        " bound. [default: minus the threshold]",
    )(function)
    return click.option(
        "--dt",
        type=click.FloatRange(min=0, min_open=True),
        metavar="TIME",
        help="Time step of the simulation for which a NIR graph was made; needed if its neurons"
        " have an r other than 1.",
    )(function)


def take_nir_options(options: dict[str, Any]) -> NirOptions:
    """Return the options that concern NIR graphs, and remove them from the others."""
    from speckflex.networks.nir.options import NirOptions

    return NirOptions(dt=options.pop("dt"), lower_bound=options.pop("lower_bound"))


def model_options(function: Any) -> Any:
    """Add the options for reading a model: its weights, its input shape, and NIR's options."""
    function = nir_options(function)
    function = click.option(
        "--input-shape",
        type=ShapeType(),
        help="Channels, height and width of the input. [default: those of the file, if it states"
        " them, or of the data]",
    )(function)
    return weights_options(function)


def weights_options(function: Any) -> Any:
    """Add the options for a MODEL that holds weights: its network, and its place in the file."""
    function = click.option(
        "--key",
        metavar="NAME",
        help="Part of a checkpoint that holds the weights, such as ema, if it has several.",
    )(function)
    return click.option(
        "--network",
        "factory",
        metavar="NETWORK",
        help="What builds the network if MODEL holds only weights: a name of speckflex, or a"
        ' function with its arguments, such as "mymod:make bias=False width=16". Its module is'
        " imported, from the working directory first: name only code that you trust.",
    )(function)
