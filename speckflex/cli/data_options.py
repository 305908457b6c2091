"""The options that choose recordings and say how they are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from speckflex.data import EventDataset

__all__ = ["SizeType", "data_options", "open_data", "reading_options", "take_reading"]

READING = ("fields", "time_unit", "sensor")


class FieldsType(click.ParamType):
    """Names of fields, given as `t=ts,p=polarity`."""

    name = "t=NAME,x=NAME,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, str]:
        """Return the file's name for each field that is given."""
        if isinstance(value, dict):
            return value
        pairs = [part.partition("=") for part in str(value).split(",")]
        if not all(name.strip() and mark and file_name.strip() for name, mark, file_name in pairs):
            self.fail(f"{value!r} names no fields: write such as t=ts,p=polarity", param, ctx)
        return {name.strip(): file_name.strip() for name, _, file_name in pairs}


class SizeType(click.ParamType):
    """A size given as `480,640` (height, width) or `640x480` (width by height)."""

    name = "H,W|WxH"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return (y, x), two positive integers."""
        if isinstance(value, tuple):
            return value
        mark = "x" if "x" in str(value) else ","
        parts = [part.strip() for part in str(value).split(mark)]
        if len(parts) != 2 or not all(part.isdecimal() and int(part) for part in parts):
            problem = f"{value!r} is no size: write height,width or widthxheight, such as 640x480"
            self.fail(problem, param, ctx)
        first, second = map(int, parts)
        return (second, first) if mark == "x" else (first, second)


def reading_options(function: Any) -> Any:
    """Add the options for what files may leave open; `take_reading` reads them."""
    function = click.option(
        "--sensor",
        type=SizeType(),
        help="Size of the sensor, if the recordings do not state it. [default: what they state,"
        " else the extent of their events]",
    )(function)
    function = click.option(
        "--time-unit",
        type=click.Choice(["s", "ms", "us", "ns"]),
        help="Unit of the times in arrays, text and HDF5. [default: that of the format, else us]",
    )(function)
    return click.option(
        "--fields",
        type=FieldsType(),
        help="The file's names of t, x, y and p, or the numbers of its columns from 0 on, such as"
        " t=ts,p=polarity. [default: the usual names]",
    )(function)


def take_reading(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of `reading_options` as `open_dataset` takes them."""
    return {name: options[name] for name in READING if options.get(name) is not None}


def open_data(options: dict[str, Any], *, default: str = "synthetic-digits") -> EventDataset:
    """Return the recordings that `data_options` and `seed_option` chose."""
    from speckflex.data import open_dataset

    dataset = open_dataset(
        options["data"] or default,
        split=options["split"],
        limit=options["samples"],
        seed=options["seed"],
        cache=options["cache"],
        download=options["download"],
        **take_reading(options),
    )
    shape = options["input_shape"]
    return dataset if shape is None else dataset.on_sensor(shape)


def data_options(function: Any, *, default: str = " [default: synthetic-digits]") -> Any:
    """Add the options that choose recordings; `default` ends the help text of --data."""
    function = reading_options(function)
    function = click.option(
        "--download",
        is_flag=True,
        help="Allow the download of nmnist and dvsgesture; nothing is downloaded without it.",
    )(function)
    function = click.option(
        "--cache",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder of data sets. nmnist and dvsgesture are read from it [default: data];"
        " synthetic recordings are stored in it.",
    )(function)
    function = click.option(
        "--samples",
        type=click.IntRange(min=1),
        help="Number of recordings to use, balanced over the classes. [default: all]",
    )(function)
    function = click.option(
        "--split",
        type=click.Choice(["test", "train", "all"]),
        default="test",
        show_default=True,
        help="Part of the data set to use.",
    )(function)
    return click.option(
        "--data",
        metavar="PATH|NAME",
        help="A folder or file of recordings, or nmnist, dvsgesture, synthetic-digits,"
        f" synthetic-gestures.{default}",
    )(function)
