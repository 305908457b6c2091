"""Synaptic operations: the work of a program with a recording, and the chip's limit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from speckflex.analysis.arrivals import core_inputs
from speckflex.errors import ComparisonError
from speckflex.events.streams import MICROSECONDS_PER_SECOND
from speckflex.program.routing import row_spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.program.program import Program
    from speckflex.program.records import Core
    from speckflex.recordings.recording import Recording

__all__ = [
    "WINDOW",
    "LayerSynops",
    "add_synops",
    "count_taps",
    "measure_known_synops",
    "measure_synops",
    "synops_per_window",
]

WINDOW = 10_000  # µs
MOST_WINDOWS = 1_000_000  # adjacent ones: a gap of days is no work


@dataclass(frozen=True)
class LayerSynops:
    """The synaptic operations of one core.

    Args:
        index: position of the core in the program, from 0.
        name: name of the layer in the torch network.
        input_events: number of events that reached the core, over all `samples`.
        total: number of synaptic operations over all `samples`: one for each neuron that an event
            updates; neurons beyond the edge do not count.
        formula: the estimate in sinabs' documentation, `N * C_out * kx * ky / (sx * sy)`.
        peak_per_second: most operations per second in a window that begins at an event, in any
            of the `samples`; None if not measured.
        peak_sample: index of the sample of that window.
        peak_time: time of the first event of that window, µs.
        sustained_per_second: operations of a sample divided by the time that its input lasts (at
            least one window), in the sample where this is highest: what is demanded of the
            core, whether it can serve it or not.
        window: width of the window, µs.
        reason: why nothing was measured, "" if something was.
        load: the peak as a share of the rate of a core (`Chip.synops_per_second`, unverified);
            None if not measured.
        samples: number of samples that every figure here is over.
        per_inference: `total` for each sample; None if not measured.
    """

    index: int
    name: str
    input_events: int = 0
    total: int = 0
    formula: float = 0.0
    peak_per_second: float | None = None
    peak_sample: int | None = None
    peak_time: int | None = None
    sustained_per_second: float | None = None
    window: int = WINDOW
    reason: str = ""
    load: float | None = None
    samples: int = 0
    per_inference: float | None = None


def measure_synops(
    program: Program,
    recording: Recording,
    input_events: Sequence[np.ndarray] = (),
    *,
    window: int = WINDOW,
    reset: bool = True,
) -> tuple[LayerSynops, ...]:
    """Return the synaptic operations of every core.

    The input of a core is computed from the recorded events of its sources. If not all sources
    were recorded with their events, the core has a `reason` in place of figures. All figures are
    over the same samples, those of the recording.

    Args:
        program: the program that ran.
        recording: its spikes, `t` in µs.
        input_events: the streams that were played, one for each sample of the recording; none
            where they are not at hand.
        window: width of the window that a peak is averaged over, µs.
        reset: whether the samples were played with reset; the recording does not say so. Without
            reset a decimator keeps its count from one sample to the next; in the first sample it
            starts at 0.

    Raises:
        ComparisonError: the events of only some of the samples are at hand.
    """
    _check_one_set(recording, input_events)
    inputs = (
        core_inputs(program, recording, input_events, index, reset=reset)
        for index in range(len(program.cores))
    )
    measure = (window, program.chip_record.synops_per_second, recording.n_samples)
    return tuple(
        _measure_core((index, core), streams, input_events, measure)
        for index, (core, streams) in enumerate(zip(program.cores, inputs, strict=True))
    )


def measure_known_synops(
    program: Program, recording: Recording, input_events: Sequence[np.ndarray] = ()
) -> tuple[LayerSynops, ...]:
    """Return the synaptic operations of the first samples, as far as all their events are known.

    Args:
        program: the program that ran.
        recording: its spikes, kept as events in the first samples, `t` in µs.
        input_events: the streams of the first samples; none where they are not at hand.
    """
    kept = [len(record.events) for record in recording.layers if record.events is not None]
    given = [len(input_events)] if input_events else []
    n_known = min(recording.n_samples, *kept, *given, recording.n_samples)
    return measure_synops(program, recording.part(0, n_known), input_events[:n_known])


def add_synops(parts: Sequence[Sequence[LayerSynops]]) -> tuple[LayerSynops, ...]:
    """Return the synaptic operations of parts of a run as those of the whole run.

    Args:
        parts: for each part, in order, one entry per core.
    """
    starts = np.cumsum([0, *(part[0].samples if part else 0 for part in parts)]).tolist()
    return tuple(_added(layers, starts) for layers in zip(*parts, strict=True))


def _added(layers: Sequence[LayerSynops], starts: Sequence[int]) -> LayerSynops:
    """Return one core's parts as one; `starts` has the first sample of each part."""
    unknown = next((layer for layer in layers if layer.reason), None)
    if unknown is not None:
        return replace(unknown, samples=sum(layer.samples for layer in layers))
    peaks = [layer.peak_per_second or 0.0 for layer in layers]
    busiest = max(range(len(layers)), key=peaks.__getitem__)
    samples, total = (sum(getattr(one, name) for one in layers) for name in ("samples", "total"))
    first = layers[busiest]
    return replace(
        first,
        input_events=sum(layer.input_events for layer in layers),
        total=total,
        formula=sum(layer.formula for layer in layers),
        peak_sample=None if first.peak_sample is None else starts[busiest] + first.peak_sample,
        sustained_per_second=max(layer.sustained_per_second or 0.0 for layer in layers),
        samples=samples,
        per_inference=total / samples if samples else None,
    )


def _check_one_set(recording: Recording, input_events: Sequence[np.ndarray]) -> None:
    """Refuse events of another number of samples than the recording has."""
    known = {
        record.name: len(record.events) for record in recording.layers if record.events is not None
    }
    if input_events:
        known["the input"] = len(input_events)
    for name, n_known in known.items():
        if n_known != recording.n_samples:
            least = min(n_known, recording.n_samples)
            raise ComparisonError(
                f"{name}: the events of {n_known} samples are at hand, the recording has"
                f" {recording.n_samples}: count over one set of samples, such as the first"
                f" {least} (recording.part(0, {least}) with as many input streams)"
            )


def count_taps(core: Core, events: np.ndarray) -> np.ndarray:
    """Return (n,) int64: the neurons of a core that each event updates.

    An event at (y, x) updates the neurons of all features whose kernel covers it (datasheet
    3.2.4.4). Near an edge there are fewer.

    Args:
        core: the core.
        events: `(n,)` event array at the input of the core.
    """
    taps_y = _taps_along(core, 0, events["y"])
    taps_x = _taps_along(core, 1, events["x"])
    return core.output_shape[0] * taps_y[events["y"]] * taps_x[events["x"]]


def synops_per_window(
    core: Core, events: np.ndarray, *, window: int = WINDOW
) -> tuple[np.ndarray, np.ndarray]:
    """Return the start times (µs) of adjacent windows and the operations per second in each.

    Of more than `MOST_WINDOWS`, those without events are left out.
    """
    if not len(events):
        return np.empty(0, np.int64), np.empty(0)
    bins = events["t"] // window
    first, work = bins.min(), count_taps(core, events)
    if int(bins.max()) - int(first) < MOST_WINDOWS:
        sums = np.bincount(bins - first, weights=work)
        found = first + np.arange(len(sums))
    else:
        found, places = np.unique(bins, return_inverse=True)
        sums = np.bincount(places, weights=work)
    return found * window, sums * (MICROSECONDS_PER_SECOND / window)


def _measure_core(
    layer: tuple[int, Core],
    streams: list[np.ndarray] | None,
    input_events: Sequence[np.ndarray],
    measure: tuple[int, float, int],
) -> LayerSynops:
    """Measure one core with a window, the limit of a core, and the number of samples."""
    index, core = layer
    window, limit, n_samples = measure
    if streams is None:
        reason = "the events of its sources were not recorded: monitor them, and keep events"
        return LayerSynops(index, core.name, window=window, reason=reason, samples=n_samples)
    work = [count_taps(core, events) for events in streams]
    peaks = [_peak(events["t"], taps, window) for events, taps in zip(streams, work, strict=True)]
    busiest = max(range(len(peaks)), key=lambda sample: peaks[sample][0])
    most, peak_time = peaks[busiest]
    peak_per_second = most * MICROSECONDS_PER_SECOND / window
    seconds = [_seconds(events, window) for events in _spans(input_events, streams)]
    n_events, total = sum(map(len, streams)), int(sum(taps.sum() for taps in work))
    return LayerSynops(
        index,
        core.name,
        input_events=n_events,
        total=total,
        formula=n_events * _fan_out(core),
        peak_per_second=peak_per_second,
        peak_sample=busiest,
        peak_time=peak_time,
        sustained_per_second=max(float(w.sum()) / s for w, s in zip(work, seconds, strict=True)),
        window=window,
        load=peak_per_second / limit,
        samples=n_samples,
        per_inference=total / n_samples,
    )


def _fan_out(core: Core) -> float:
    """Return `C_out * kx * ky / (sx * sy)`: the neurons that an event far from edges updates."""
    n_channels, _, kernel_y, kernel_x = core.weights.shape
    return n_channels * kernel_y * kernel_x / (core.stride[0] * core.stride[1])


def _taps_along(core: Core, axis: int, positions: np.ndarray) -> np.ndarray:
    """Return the number of kernels that cover each input position along y (0) or x (1)."""
    # A spike after the last whole pooling window may arrive outside the stated input shape.
    n_inputs = max(core.input_shape[1 + axis], int(positions.max(initial=0)) + 1)
    n_neurons, kernel = core.output_shape[1 + axis], core.weights.shape[2 + axis]
    spans = row_spans(n_inputs, n_neurons, kernel, core.stride[axis], core.padding[axis])
    return spans["n_rows"].astype(np.int64)


def _peak(times: np.ndarray, taps: np.ndarray, window: int) -> tuple[int, int | None]:
    """Return the most operations in a window that begins at an event, and its start (µs)."""
    if not len(times):
        return 0, None
    sums = np.concatenate([[0], np.cumsum(taps)])
    ends = np.searchsorted(times, times + window, side="left")
    inside = sums[ends] - sums[np.searchsorted(times, times, side="left")]
    best = int(inside.argmax())
    return int(inside[best]), int(times[best])


def _spans(input_events: Sequence[np.ndarray], streams: list[np.ndarray]) -> list[np.ndarray]:
    """Return the events that tell how long each sample lasted: the input's where known."""
    return [*input_events[: len(streams)], *streams[len(input_events) :]]


def _seconds(events: np.ndarray, window: int) -> float:
    """Return the time from the first event to the last; at least one window."""
    span = int(events["t"].max() - events["t"].min()) if len(events) else 0
    return max(window, span) / MICROSECONDS_PER_SECOND
