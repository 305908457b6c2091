"""The options that choose recordings, say how they are read, and fit them to a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from speckflex._support.text import microseconds_of
from speckflex.cli.options import take_nir_options
from speckflex.errors import SpeckflexError

if TYPE_CHECKING:
    from collections.abc import Callable

    from speckflex.conversion.model import ConvertedModel, Sensor
    from speckflex.data import EventDataset, Preprocessing

__all__ = [
    "DurationType",
    "data_options",
    "on_input",
    "open_data",
    "preprocessing_options",
    "read_on_data",
    "reading_options",
    "recording_options",
    "sensor_of",
    "take_preprocessing",
    "take_reading",
]

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


class CropType(click.ParamType):
    """A part of the sensor: `X,Y,W,H`, or the size of a part in its centre."""

    name = "X,Y,W,H|H,W|WxH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a `Crop`."""
        from speckflex.data import Crop

        if not isinstance(value, str):
            return value
        parts = [part.strip() for part in value.split(",")]
        if len(parts) == 4 and all(part.isdecimal() for part in parts):
            x, y, width, height = map(int, parts)
            if width and height:
                return Crop((height, width), (y, x))
        if len(parts) <= 2:
            return Crop(SizeType().convert(value, param, ctx))
        return self.fail(
            f"{value!r} is no part of a sensor: write x,y,width,height, or the size of its centre"
            " as height,width or widthxheight",
            param,
            ctx,
        )


class DurationType(click.ParamType):
    """A time with its unit, given as `0.3s`, `300ms` or `300us`."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return µs, at least 1."""
        if isinstance(value, int):
            return value
        microseconds = microseconds_of(str(value))
        if microseconds is None:
            self.fail(f"{value!r} is no time: write it with its unit, such as 0.3s", param, ctx)
        return microseconds


def preprocessing_options(function: Any) -> Any:
    """Add the options that fit recordings to a network; `take_preprocessing` reads them."""
    function = click.option(
        "--stride",
        type=DurationType(),
        help="Time from one window to the next. [default: the window]",
    )(function)
    function = click.option(
        "--window",
        type=DurationType(),
        help="Play each whole window of this length, such as 0.3s, as a sample of its own.",
    )(function)
    function = click.option(
        "--merge-polarities", is_flag=True, help="Send both polarities to channel 0."
    )(function)
    function = click.option(
        "--resize-keeps",
        type=click.Choice(["counts", "rate"]),
        default="counts",
        show_default=True,
        help="What --resize keeps: the number of events, as the chip's pooling does, or the mean"
        " rate of a pixel.",
    )(function)
    function = click.option(
        "--resize",
        type=SizeType(),
        help="Pool the events to a sensor of this size, such as 34x34.",
    )(function)
    return click.option(
        "--crop",
        type=CropType(),
        help="Part of the sensor to keep, before --resize: its corner and size, or the size of a"
        " part in the centre.",
    )(function)


def take_preprocessing(options: dict[str, Any]) -> Preprocessing:
    """Return what the options of `preprocessing_options` say."""
    from speckflex.data import Preprocessing

    try:
        return Preprocessing(
            crop=options["crop"],
            resize=options["resize"],
            keep=options["resize_keeps"],
            merge=options["merge_polarities"],
            window=options["window"],
            stride=options["stride"],
        )
    except SpeckflexError as error:
        raise click.UsageError(str(error)) from error


def reading_options(function: Any) -> Any:
    """Add the options for what files may leave open; `take_reading` reads them."""
    function = click.option(
        "--sensor",
        type=SizeType(),
        help="Size of the sensor, if the recordings do not state it. [default: what they state,"
        " else the size of the network's input]",
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


def open_data(options: dict[str, Any]) -> EventDataset:
    """Return the recordings that `data_options` and `seed_option` chose.

    Raises:
        UsageError: none are chosen.
    """
    from speckflex.data import open_dataset, preprocess

    if not options["data"]:
        raise click.UsageError(
            "no recordings are given: name yours with --data FOLDER or --data FILE, a public data"
            " set such as --data nmnist, or simulated ones with --data synthetic-digits"
        )
    settings = take_preprocessing(options)
    dataset = open_dataset(
        options["data"],
        split=options["split"],
        limit=options["samples"],
        seed=options["seed"],
        cache=options["cache"],
        download=options["download"],
        **take_reading(options),
    )
    # a recording may have several windows
    dataset = preprocess(dataset, settings).balanced(options["samples"], seed=options["seed"])
    shape = options["input_shape"]
    return dataset if shape is None else dataset.on_sensor(shape)


def sensor_of(dataset: EventDataset) -> Sensor | None:
    """Return the sensor that the recordings state; None where they state none.

    The extent of their events is no sensor: a recording may have no event in its last rows.
    """
    from speckflex.conversion.model import Sensor

    return Sensor(dataset.shape) if dataset.shape_stated else None


def read_on_data(
    path: Path,
    options: dict[str, Any],
    *,
    chip: str,
    progress: Callable[[str], None] | None = None,
) -> tuple[ConvertedModel, EventDataset]:
    """Return a network, folded and converted, and the recordings on its input.

    Args:
        path: of the network.
        options: of `data_options`, `model_options` and `seed_option`.
        chip: whose limits the network keeps to.
        progress: called with the name of each stage.
    """
    from speckflex.conversion.model import read_model, stated_shape

    options = {**options, "input_shape": options["input_shape"] or stated_shape(path)}
    nir = take_nir_options(options)
    dataset = open_data(options)
    model = read_model(
        path,
        input_shape=options["input_shape"] or sensor_of(dataset),
        chip=chip,
        factory=options["factory"],
        key=options["key"],
        nir=nir,
        progress=progress or (lambda _: None),
    )
    return model, on_input(dataset, model.program.input.shape)


def on_input(dataset: EventDataset, shape: tuple[int, int, int]) -> EventDataset:
    """Return the recordings on a network's input, if they do not state a sensor of their own."""
    return dataset if dataset.shape_stated else dataset.on_sensor(shape)


def recording_options(function: Any) -> Any:
    """Add the options that say which recordings of a source are used, and how."""
    function = reading_options(preprocessing_options(function))
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
    return click.option(
        "--split",
        type=click.Choice(["test", "train", "all"]),
        default="test",
        show_default=True,
        help="Part of the data set to use.",
    )(function)


def data_options(function: Any, *, default: str = " Required.") -> Any:
    """Add the options that choose recordings; `default` ends the help text of --data."""
    function = recording_options(function)
    return click.option(
        "--data",
        metavar="PATH|NAME",
        help="A folder or file of recordings, or nmnist, dvsgesture, synthetic-digits,"
        f" synthetic-gestures, synthetic-tones.{default}",
    )(function)
