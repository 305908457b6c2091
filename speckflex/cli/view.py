"""`speckflex view`: what a recording or a data set of recordings holds."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from speckflex._support.files import write_whole
from speckflex._support.text import shown
from speckflex.cli.data_options import open_data, recording_options
from speckflex.cli.options import OutFileType, json_option, seed_option
from speckflex.errors import EventsError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np

    from speckflex.data import EventDataset, EventSummary

__all__ = ["command"]

DEFAULT_SAMPLES = 100
COLUMNS, ROWS = 78, 24  # of the terminal that a picture fits in
STRIP_FRAMES, PAGE_FRAMES = 4, 8
PAGE_SIDE, PAGE_FRAME_SIDE = 640, 160  # the most pixels of counts on the page


@click.command("view")
@click.argument("source")
@click.option(
    "--index",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Number of the recording to draw, from 0 on, if there are several.",
)
@click.option("--html", "page", type=OutFileType(".html"), help="Also write a page to this file.")
@recording_options
@seed_option
@json_option
def command(source: str, *, index: int, page: Path | None, as_json: bool, **options: Any) -> None:
    """Show what the recordings in SOURCE hold: a file, a folder, or the name of a data set.

    Duration, rates, extent, polarities and order in time, with a picture of all events and a strip
    of frames. Of a data set the first 100 recordings are read, balanced over the classes, unless
    --samples says otherwise.
    """
    options |= {"data": source, "input_shape": None}
    if options["samples"] is None:
        options["samples"] = DEFAULT_SAMPLES
    dataset = open_data(options)
    if index >= len(dataset):
        raise EventsError(
            f"{dataset.name}: has {len(dataset)} recordings here, none of them is number {index}:"
            f" give --index from 0 to {len(dataset) - 1}"
        )
    summaries, events = _summarise(dataset, index)
    if page is not None:
        write_whole(page, _page(dataset, summaries, index, events), EventsError)
    if as_json:
        click.echo(json.dumps(_as_json(dataset, summaries), indent=2, allow_nan=False))
        return
    _show(dataset, summaries, index, events)
    if page is not None:
        click.echo(f"written: {page}")


def _summarise(dataset: EventDataset, index: int) -> tuple[list[EventSummary], np.ndarray]:
    """Return a summary of each recording, and the events of one."""
    from speckflex.cli.progress import progress_bar
    from speckflex.data import summarise

    summaries, drawn = [], None
    with progress_bar("reading recordings", len(dataset)) as advance:
        for number, (events, _) in enumerate(dataset):
            summaries.append(summarise(events, dataset.shape))
            drawn = events if number == index else drawn
            advance(1)
    if drawn is None:
        raise EventsError(f"{dataset.name}: holds no recording: choose another folder or split")
    return summaries, drawn


def _as_json(dataset: EventDataset, summaries: Sequence[EventSummary]) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "shape": dataset.shape,
        "sensor_stated": dataset.shape_stated,
        "synthetic": dataset.synthetic,
        "classes": dataset.classes,
        "changes": dataset.changes,
        "recordings": [
            {"source": str(item), "label": label, **asdict(summary)}
            for item, label, summary in zip(
                dataset.items, dataset.labels.tolist(), summaries, strict=True
            )
        ],
    }


def _rows(dataset: EventDataset, summary: EventSummary, index: int) -> list[tuple[str, str]]:
    """Return the facts about one recording, by name."""
    channels, height, width = dataset.shape
    stated = "stated" if dataset.shape_stated else "not stated: the extent of the events"
    label = int(dataset.labels[index])
    name = shown(dataset.classes[label]) if 0 <= label < len(dataset.classes) else "unknown"
    rows = [
        ("recording", shown(str(dataset.items[index]))),
        ("class", name),
        ("sensor", f"{width} x {height} pixels ({stated}), {channels} channels"),
        ("events", f"{summary.events}"),
    ]
    if summary.x is not None and summary.y is not None:
        rows += [
            (
                "duration",
                f"{summary.duration / 1e6:.6f} s, from {(summary.start or 0) / 1e6:.6f} s",
            ),
            ("rate", f"mean {_rate(summary.rate)}, peak {_rate(summary.peak_rate)} in 10 ms"),
            ("extent", f"x {_range(summary.x)}, y {_range(summary.y)}"),
        ]
    if summary.on_share is not None:
        rows.append(("polarity", f"{summary.on_share:.1%} on, {1 - summary.on_share:.1%} off"))
    order = "ascending" if not summary.late else f"{summary.late} events are late: sort them by t"
    rows += [("times", order), *(("changed", words) for words in dataset.changes)]
    return rows


def _rate(rate: float | None) -> str:
    return "unknown" if rate is None else f"{_number(rate)} events/s"


def _number(value: float) -> str:
    """Return a number as text of about four digits, without an exponent up to a billion."""
    return f"{value:,.0f}".replace(",", " ") if 1e3 <= value < 1e9 else f"{value:.4g}"


def _range(ends: tuple[int, int]) -> str:
    return f"{ends[0]} to {ends[1]}"


def _set_rows(dataset: EventDataset, summaries: Sequence[EventSummary]) -> list[tuple[str, str]]:
    """Return the facts about several recordings: the smallest, the middle and the largest."""
    import numpy as np

    def spread(values: list[float]) -> str:
        return ", ".join(_number(value) for value in np.quantile(values, (0, 0.5, 1)))

    known = sorted({label for label in dataset.labels.tolist() if label >= 0})
    names = [shown(dataset.classes[label]) for label in known if label < len(dataset.classes)]
    return [
        ("data set", shown(dataset.name) + (" (synthetic)" if dataset.synthetic else "")),
        ("recordings", f"{len(dataset)} read, of {len(known)} classes {', '.join(names[:12])}"),
        ("events", f"{spread([s.events for s in summaries])} (smallest, median, largest)"),
        ("duration", f"{spread([s.duration / 1e6 for s in summaries])} s"),
        ("rate", f"{spread([s.rate or 0 for s in summaries])} events/s"),
        ("late events", f"in {sum(s.late > 0 for s in summaries)} recordings"),
    ]


def _show(
    dataset: EventDataset, summaries: Sequence[EventSummary], index: int, events: np.ndarray
) -> None:
    from rich.console import Console

    from speckflex.cli._shades import grid_size, strip_of
    from speckflex.data import count_events, count_frames

    if len(summaries) > 1:
        _echo_rows(_set_rows(dataset, summaries))
        click.echo("")
    _echo_rows(_rows(dataset, summaries[index], index))
    sensor = dataset.shape[1:]
    console = Console(width=COLUMNS + 2, highlight=False)
    plain = (sys.stdout.encoding or "ascii").lower().replace("-", "") not in {"utf8", "utf16"}
    click.echo("\nall events")
    picture = count_events(events, dataset.shape, grid_size(sensor, COLUMNS, ROWS))
    console.print(strip_of([picture], plain=plain))
    click.echo(f"in {STRIP_FRAMES} equal parts of its time")
    columns = (COLUMNS - STRIP_FRAMES + 1) // STRIP_FRAMES
    size = grid_size(sensor, columns, ROWS)
    console.print(
        strip_of(list(count_frames(events, dataset.shape, size, STRIP_FRAMES)), plain=plain)
    )


def _echo_rows(rows: Sequence[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, words in rows:
        click.echo(f"{name:<{width}}  {words}")


def _page(
    dataset: EventDataset, summaries: Sequence[EventSummary], index: int, events: np.ndarray
) -> str:
    from speckflex.cli._view_page import page_of
    from speckflex.data import count_events, count_frames

    rows = _set_rows(dataset, summaries) if len(summaries) > 1 else []
    rows += _rows(dataset, summaries[index], index)
    height, width = dataset.shape[1:]
    picture = count_events(events, dataset.shape, _within(height, width, PAGE_SIDE))
    size = _within(height, width, PAGE_FRAME_SIDE)
    frames = count_frames(events, dataset.shape, size, PAGE_FRAMES)
    return page_of(shown(dataset.name), rows, picture, frames, events)


def _within(height: int, width: int, side: int) -> tuple[int, int]:
    """Return the size of a picture in its proportions, with no side above the given one."""
    scale = min(1.0, side / max(height, width))
    return max(int(height * scale), 1), max(int(width * scale), 1)
