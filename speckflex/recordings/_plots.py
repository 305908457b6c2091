"""Pictures of recordings and of their differences."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex._support.pictures import new_picture
from speckflex.errors import BoardError
from speckflex.events.frames import to_frames

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from speckflex.recordings.compare import Difference
    from speckflex.recordings.recording import Recording

__all__ = ["plot_difference", "plot_frames", "plot_raster"]

MANY_POINTS = 5000  # from here on, points are pixels also in a drawing of lines
FRAMES_PER_ROW = 5


def plot_difference(difference: Difference) -> Figure:
    """Return the spike difference of each layer, beside the spikes of both recordings."""
    names = [layer.name for layer in difference.layers]
    picture = new_picture(7.5, 0.9 + 0.36 * len(names))
    left, right = picture.subplots(1, 2, sharey=True)
    rows = np.arange(len(names))
    shares = [layer.spike_difference for layer in difference.layers]
    known = [share if share is not None and isfinite(share) else 0.0 for share in shares]
    left.barh(rows, [100 * share for share in known], color="#4c72b0")
    for row, (layer, share) in enumerate(zip(difference.layers, shares, strict=True)):
        # a bar of no length would look like no difference
        words = "no value" if layer.reason or share is None else f"{100 * share:.3g} %"
        left.annotate(words, (100 * known[row], row), xytext=(3, 0), **_BESIDE)
    left.set(xlabel="spike difference (%)", yticks=rows, yticklabels=names)
    left.margins(x=0.25)
    right.barh(rows - 0.2, [layer.spikes_a for layer in difference.layers], 0.4, label="reference")
    right.barh(rows + 0.2, [layer.spikes_b for layer in difference.layers], 0.4, label="other")
    right.set(xlabel=f"spikes in {difference.n_samples} samples", xscale="symlog")
    picture.legend(loc="outside upper right", ncols=2, fontsize="small")
    left.invert_yaxis()
    return picture


_BESIDE: dict[str, Any] = {
    "textcoords": "offset points",
    "va": "center",
    "fontsize": "small",
}


def plot_raster(recording: Recording, layer: int, sample: int) -> Figure:
    """Return the spikes of one sample in a layer, a row for each neuron."""
    events, record = recording.events(layer, sample), recording.layer(layer)
    _, height, width = record.shape
    neurons = (events["p"].astype(np.int64) * height + events["y"]) * width + events["x"]
    picture = new_picture(7.0, 3.0)
    axes = picture.subplots()
    axes.plot(
        events["t"] / 1000,
        neurons,
        "|" if record.counts[0].size <= 64 else ",",
        color="#1f1f1f",
        rasterized=len(events) > MANY_POINTS,
    )
    axes.set(
        title=f"{record.name}, sample {sample}: {len(events)} spikes",
        xlabel="time (ms)",
        ylabel="class" if height == width == 1 else "neuron",
        ylim=(-0.5, record.counts[0].size - 0.5),
    )
    return picture


def plot_frames(recording: Recording, layer: int, sample: int, n_frames: int) -> Figure:
    """Return the spikes of one sample in a layer as frames of equal time, channels added up."""
    if n_frames < 1:
        raise BoardError(f"{n_frames} frames show nothing: ask for at least 1")
    events, record = recording.events(layer, sample), recording.layer(layer)
    counts = to_frames(events, record.shape, n_frames).sum(axis=1)
    n_rows = -(-n_frames // FRAMES_PER_ROW)
    picture = new_picture(7.5, 0.6 + 1.6 * n_rows)
    grid = picture.subplots(n_rows, min(n_frames, FRAMES_PER_ROW), squeeze=False)
    largest = max(int(counts.max()), 1)
    for index, axes in enumerate(grid.flat):
        axes.set_axis_off()
        if index < n_frames:
            axes.imshow(counts[index], vmin=0, vmax=largest, cmap="magma", interpolation="nearest")
            axes.set_title(f"{index + 1}", fontsize="small")
    span = (int(events["t"].max()) - int(events["t"].min())) / 1000 if len(events) else 0.0
    picture.suptitle(
        f"{record.name}, sample {sample}: {n_frames} frames of {span / n_frames:.3g} ms,"
        f" up to {int(counts.max())} spikes at a place",
        fontsize="medium",
    )
    return picture
