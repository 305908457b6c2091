"""Where every spike goes, worked out once per program, as tables of addresses.

An address is the place of a neuron or pixel in the order (y, x, channel).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from speckflex.program.records import Destination, EdgeSpikes, InputStage, MirrorFrame, Shape

__all__ = [
    "Edge",
    "Places",
    "addresses_of",
    "column_spans",
    "deliver",
    "enter",
    "places_of",
    "row_spans",
]

# The neurons whose kernel covers one y.
ROW_SPAN = np.dtype(
    [
        ("first", np.int32),  # row of neurons
        ("n_rows", np.int32),
        ("kernel_row", np.int32),  # which the first row of neurons meets
    ]
)

# The neurons side by side whose kernel covers one x.
COLUMN_SPAN = np.dtype(
    [
        ("first", np.int32),  # neuron, by its place in the row
        ("n_neurons", np.int32),
        ("weight", np.int32),  # of the first neuron, by its place among the taps of a kernel row
    ]
)


@dataclass(frozen=True)
class Edge:
    """One destination of a core, or of the input stage.

    Args:
        target: the core's position.
        offset: where the routes of this sender begin at the target.
        rank: when the destination is served, 0 before 1.
    """

    target: int
    offset: int
    rank: int


@dataclass(frozen=True, eq=False)
class Places:
    """For every address of a sender, its channel, y and x in its own map or at a destination.

    Args:
        channels: `(n,) int32`.
        rows: `(n,) int32`, y.
        columns: `(n,) int32`, x.
        kept: `(n,) bool`, False if the spike goes nowhere.
    """

    channels: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    kept: np.ndarray


def places_of(shape: Shape) -> Places:
    """Return the channel, y and x of every address of a (channel, y, x) map."""
    channels, height, width = shape
    rows, columns, features = np.indices((height, width, channels), np.int32).reshape(3, -1)
    return Places(features, rows, columns, np.ones(len(rows), bool))


def addresses_of(events: np.ndarray, shape: Shape) -> np.ndarray:
    """Return `(n,) int32`, the addresses of an event array in a (channel, y, x) map."""
    # imported here: a program that is only looked at needs no kernel, and numba is slow to load
    from speckflex.kernels.addresses import address_events

    channels, _, width = shape
    addresses = np.empty(len(events), np.int32)
    address_events(events, channels, width, addresses)
    return addresses


def enter(
    stage: InputStage, mirror_frame: MirrorFrame = "region", one_feature: int | None = 0
) -> Places:
    """Return where the input stage puts each address of the events as they arrive.

    Order: polarity, pooling, region of interest, mirror, exchange of x and y (datasheet
    figure 6).

    Args:
        stage: the stage's settings.
        mirror_frame: "region" to mirror inside the region of interest, as sinabs does;
            "sensor" to mirror the whole pooled picture before the region is cut out; "not at all"
            to leave the mirror out.
        one_feature: the channel of merged polarities, or of a polarity that passes alone; None to
            keep that of the polarity.
    """
    raw = places_of(stage.shape)
    height, width = stage.region
    rows, columns = raw.rows // stage.pooling[0], raw.columns // stage.pooling[1]
    if mirror_frame == "sensor":
        rows = stage.shape[1] // stage.pooling[0] - 1 - rows if stage.mirror_y else rows
        columns = stage.shape[2] // stage.pooling[1] - 1 - columns if stage.mirror_x else columns
    rows, columns = rows - stage.origin[0], columns - stage.origin[1]
    kept = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    if not stage.keep_off:
        kept &= raw.channels != 0
    if not stage.keep_on:
        kept &= raw.channels != 1
    if stage.mirror_y and mirror_frame == "region":
        rows = height - 1 - rows
    if stage.mirror_x and mirror_frame == "region":
        columns = width - 1 - columns
    if stage.swap_xy:
        rows, columns = columns, rows
    channels = raw.channels
    if stage.has_one_feature and one_feature is not None:
        channels = np.full_like(raw.channels, one_feature)
    return Places(channels, rows, columns, kept)


def deliver(
    places: Places, shape: Shape, destination: Destination, edge_spikes: EdgeSpikes
) -> Places:
    """Return where the spikes of a sender arrive at one of its destinations.

    Args:
        places: where the spikes are in the sender's map.
        shape: (channel, y, x) of that map, before pooling.
        destination: pooling divides y and x, the shift is added to the channel.
        edge_spikes: what happens to spikes beyond the last whole pooling window.
    """
    pooling = destination.pooling
    rows, columns = places.rows // pooling, places.columns // pooling
    kept = places.kept
    if edge_spikes == "drop":
        kept = kept & (rows < shape[1] // pooling) & (columns < shape[2] // pooling)
    return Places(places.channels + np.int32(destination.feature_shift), rows, columns, kept)


def row_spans(n_inputs: int, n_neurons: int, kernel: int, stride: int, padding: int) -> np.ndarray:
    """Return for each input y the neuron rows whose field contains it.

    A neuron at `row` has y in its field where `0 <= y + padding - row * stride < kernel`.

    Returns:
        `(n_inputs + 1,) ROW_SPAN`; the last holds no row, for spikes that go nowhere.
    """
    y = np.arange(n_inputs) + padding
    first = np.maximum(0, -((kernel - 1 - y) // stride))
    last = np.minimum(n_neurons - 1, y // stride)
    spans = np.zeros(n_inputs + 1, ROW_SPAN)
    spans["first"][:-1], spans["n_rows"][:-1] = first, np.maximum(0, last - first + 1)
    spans["kernel_row"][:-1] = y - first * stride
    return spans


def column_spans(spans: np.ndarray, kernel: int, stride: int, channels: int) -> np.ndarray:
    """Return for each input x the neurons side by side whose field contains it.

    Along x the taps are stored by their phase, the tap modulo the stride, and within a phase
    from the last tap to the first: so a run of neurons meets a run of weights.

    Args:
        spans: what `row_spans` returns for the x axis.
        kernel: taps along x.
        stride: along x.
        channels: of the neurons.

    Returns:
        `(n,) COLUMN_SPAN`.
    """
    per_phase, tap = -(-kernel // stride), spans["kernel_row"]
    weight = (tap % stride) * per_phase + per_phase - 1 - tap // stride
    table = np.zeros(len(spans), COLUMN_SPAN)
    table["first"], table["n_neurons"] = spans["first"] * channels, spans["n_rows"] * channels
    table["weight"] = np.where(spans["n_rows"] > 0, weight, 0) * channels
    return table
