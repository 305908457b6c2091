"""The data of a page's pictures, cut down to what an eye can take in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speckflex.analysis.arrivals import core_inputs
from speckflex.analysis.synops import synops_per_window
from speckflex.report.record import (
    DifferenceMap,
    InputFrames,
    Neurons,
    OneSample,
    Raster,
    Scatter,
    SpikeStream,
    WorkOverTime,
)

if TYPE_CHECKING:
    from speckflex.recordings.recording import LayerRecord, Recording
    from speckflex.report.evidence import Evidence
    from speckflex.report.roles import Comparison

__all__ = ["find_neurons", "find_one_sample", "find_work"]

MAX_POINTS = 12_000  # of all scatter plots
MAX_PIXELS = 60_000  # of all difference maps
MAX_SPIKES = 1500  # of a raster, for each recording
NEURONS_A_ROW = 32
MAX_RASTERS = 4
N_FRAMES = 6


def find_neurons(evidence: Evidence) -> Neurons:
    """Return what shows layers of two recordings against each other, neuron by neuron."""
    if evidence.headline is None:
        return Neurons()
    roles = _axes(evidence.headline)
    pairs = _common_layers(*(evidence.recordings[role] for role in roles))
    return Neurons(
        tuple(_scatter(x, y, roles, MAX_POINTS // len(pairs)) for x, y in pairs),
        tuple(_difference_map(x, y, roles, MAX_PIXELS // len(pairs)) for x, y in pairs),
    )


def find_one_sample(evidence: Evidence) -> OneSample:
    """Return the spikes and the input of the sample whose output differs most."""
    sample = _interesting_sample(evidence)
    rasters = () if sample is None else _rasters(evidence, sample)
    return OneSample(rasters, _frames(evidence, sample))


def find_work(evidence: Evidence) -> tuple[WorkOverTime, ...]:
    """Return the operations per second over time, of each core's busiest sample."""
    program = evidence.program
    if program is None:
        return ()
    lines = []
    for layer in evidence.synops:
        streams = core_inputs(program, evidence.board, evidence.input_events, layer.index)
        if streams is None or layer.peak_sample is None:
            continue
        events = streams[layer.peak_sample]
        starts, rates = synops_per_window(program.cores[layer.index], events, window=layer.window)
        milliseconds = layer.window / 1000
        lines.append(
            WorkOverTime(layer.name, layer.peak_sample, starts / 1000, rates, milliseconds)
        )
    return tuple(lines)


def _axes(comparison: Comparison) -> tuple[str, str]:
    """Return the roles on x and y: the torch network lies on x, whoever is the reference."""
    pair = (comparison.reference, comparison.other)
    return (pair[1], pair[0]) if comparison.other == "torch" else pair


def _common_layers(a: Recording, b: Recording) -> list[tuple[LayerRecord, LayerRecord]]:
    others = {record.index: record for record in b.layers}
    return [(record, others[record.index]) for record in a.layers if record.index in others]


def _scatter(x: LayerRecord, y: LayerRecord, roles: tuple[str, str], limit: int) -> Scatter:
    """Return one point per pair of counts, with how many neurons have it and which is first."""
    counts = np.stack([x.counts.sum(axis=0).ravel(), y.counts.sum(axis=0).ravel()], axis=1)
    points, first, n_neurons = np.unique(counts, axis=0, return_index=True, return_counts=True)
    order = np.argsort(-np.abs(points[:, 0] - points[:, 1]), kind="stable")[:limit]
    address = np.unravel_index(first[order], x.shape)
    return Scatter(
        layer=x.name,
        x_role=roles[0],
        y_role=roles[1],
        x=points[order, 0].astype(np.int32),
        y=points[order, 1].astype(np.int32),
        neurons=n_neurons[order].astype(np.int32),
        address=_spelled(*address),
        pairs=len(points),
        total=len(counts),
    )


def _spelled(channel: np.ndarray, y: np.ndarray, x: np.ndarray) -> tuple[str, ...]:
    return tuple(f"({c}, {row}, {k})" for c, row, k in zip(channel, y, x, strict=True))


def _difference_map(
    x: LayerRecord, y: LayerRecord, roles: tuple[str, str], limit: int
) -> DifferenceMap:
    """Return (channel, y, x) spikes more (or fewer) than the x recording, a sample."""
    n_samples = max(1, len(x.counts))
    difference = (y.counts.sum(axis=0) - x.counts.sum(axis=0)) / n_samples
    if difference.shape[1:] == (1, 1):
        difference = _in_rows(difference.ravel())
    n_shown = max(1, limit // max(1, difference[0].size))
    return DifferenceMap(
        layer=x.name,
        x_role=roles[0],
        y_role=roles[1],
        values=difference[:n_shown],
        largest=float(np.abs(difference).max(initial=0)),
        channels=len(difference),
        row_of_neurons=x.shape[1:] == (1, 1),
    )


def _in_rows(values: np.ndarray) -> np.ndarray:
    """Return single neurons as one map of rows: it reads better than many maps of one pixel."""
    n_rows = -(-len(values) // NEURONS_A_ROW)
    width = -(-len(values) // n_rows)
    return np.pad(values, (0, n_rows * width - len(values))).reshape(1, n_rows, width)


def _interesting_sample(evidence: Evidence) -> int | None:
    """Return the sample whose output differs most, among those with events; None without any."""
    kept = [
        len(record.events)
        for recording in evidence.recordings.values()
        for record in recording.layers
        if record.events is not None
    ]
    n_inputs = len(evidence.input_events)
    n_samples = min([max(kept, default=0), *([n_inputs] if n_inputs else [])])
    if not n_samples:
        return None
    if evidence.headline is None:
        return 0
    values = evidence.headline.difference.output.per_sample[:n_samples]
    return int(np.nan_to_num(values, nan=-1.0, posinf=np.finfo(float).max).argmax())


def _rasters(evidence: Evidence, sample: int) -> tuple[Raster, ...]:
    """Return the spikes of a sample, layer by layer, of every recording that keeps them."""
    rasters = []
    for index, name in reversed(evidence.layer_names.items()):
        streams = {
            role: _stream(record.events[sample], record)
            for role, record in evidence.records(index).items()
            if record.events is not None and sample < len(record.events)
        }
        if any(stream.total for stream in streams.values()):
            rasters.append(Raster(name, sample, streams))
    return tuple(rasters[:MAX_RASTERS])


def _stream(events: np.ndarray, record: LayerRecord) -> SpikeStream:
    chosen = np.unique(np.linspace(0, max(0, len(events) - 1), MAX_SPIKES).astype(int))
    shown = events[chosen] if len(events) > MAX_SPIKES else events
    neuron = np.ravel_multi_index((shown["p"], shown["y"], shown["x"]), record.shape)
    return SpikeStream(
        (shown["t"] / 1000).astype(np.float32),
        neuron.astype(np.int32),
        _spelled(shown["p"], shown["y"], shown["x"]),
        len(events),
    )


def _frames(evidence: Evidence, sample: int | None) -> InputFrames | None:
    """Return the input of a sample, the first one where that sample's is not at hand."""
    inputs = evidence.input_events
    if not inputs:
        return None
    shown = sample if sample is not None and sample < len(inputs) else 0
    events, program = inputs[shown], evidence.program
    if program is not None:
        shape = program.input.shape
    else:
        shape = tuple(int(events[name].max(initial=0)) + 1 for name in ("p", "y", "x"))
    frames = np.zeros((N_FRAMES, *shape), np.int64)
    start = int(events["t"].min()) if len(events) else 0
    span = max(1, int(events["t"].max()) - start + 1) if len(events) else 1
    index = (events["t"] - start) * N_FRAMES // span
    np.add.at(frames, (index, events["p"], events["y"], events["x"]), 1)
    return InputFrames(shown, len(events), span / 1000, frames)
