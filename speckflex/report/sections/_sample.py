"""One sample: what went in, and the spikes over time."""

# Annotations are evaluated here, see `speckflex.report.facts`.

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup

from speckflex.program.records import Shape
from speckflex.recordings.recording import LayerRecord
from speckflex.report._blocks import Block, Heading, Image, Images, Plot, Plots, Text
from speckflex.report._parts import DRAWN
from speckflex.report._section import Section
from speckflex.report.charts._pixels import frame_images
from speckflex.report.charts._plots import PlotData, Series, Tip
from speckflex.report.evidence import Evidence
from speckflex.report.facts import Facts

__all__ = ["InputFrames", "OneSample", "Raster", "SpikeStream"]

MAX_SPIKES = 1500  # of a raster, for each recording
MAX_RASTERS = 4
N_FRAMES = 6


@dataclass(frozen=True, eq=False)
class SpikeStream:
    """Spikes of one layer in one sample of one recording.

    Args:
        time_ms: `(spike,) float32`, ms.
        neuron: `(spike,) int32`, index in the layer, row by row.
        total: number of spikes, shown or not.
    """

    time_ms: np.ndarray
    neuron: np.ndarray
    total: int


@dataclass(frozen=True, eq=False)
class Raster:
    """Spikes of one layer in one sample.

    Args:
        layer: name of the layer.
        sample: index of the sample.
        shape: (channel, y, x) of the layer.
        streams: the spikes by role.
    """

    layer: str
    sample: int
    shape: Shape
    streams: Mapping[str, SpikeStream]


@dataclass(frozen=True, eq=False)
class InputFrames:
    """The input events of one sample, cut into frames of equal time.

    Args:
        sample: index of the sample.
        events: number of events.
        span_ms: from the first event to the last, ms.
        values: `(frame, channel, y, x) int64`, number of events.
    """

    sample: int
    events: int
    span_ms: float
    values: np.ndarray


@dataclass(frozen=True)
class OneSample(Section):
    """The sample whose output differs most.

    Args:
        rasters: its spikes, one picture a layer.
        frames: its input; None where the input events are not at hand.
    """

    anchor = "sample"
    title = "One sample"

    rasters: tuple[Raster, ...] = field(default=(), repr=False, compare=False, metadata=DRAWN)
    frames: InputFrames | None = field(default=None, repr=False, compare=False, metadata=DRAWN)

    @classmethod
    def collect(cls, evidence: Evidence) -> "OneSample":
        """Return the spikes and the input of the sample."""
        sample = _interesting_sample(evidence)
        rasters = () if sample is None else _rasters(evidence, sample)
        return cls(rasters, _frames(evidence, sample))

    def page(self, facts: Facts) -> list[Block]:
        """Return the input as frames, and the spikes as rasters."""
        blocks: list[Block] = []
        if self.frames is not None:
            blocks += _input_blocks(self.frames)
        if self.rasters:
            blocks += self._spike_blocks(facts)
        if not blocks:
            words = "The recordings hold counts only, no events: there is no raster to draw."
            return [Text(words)]
        return blocks

    def _spike_blocks(self, facts: Facts) -> list[Block]:
        words = "Drag to zoom. Choose a name above a plot to hide that recording."
        if facts.run and facts.run.bins:
            words += (
                f" The spikes of the torch network stand at the ends of its {facts.run.bins} time"
                " bins."
            )
        return [
            Heading(f"Spikes of sample {self.rasters[0].sample} over time"),
            Text(words),
            Plots("rasters", [_raster_plot(raster, facts) for raster in self.rasters]),
        ]


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
            shape = next(iter(evidence.records(index).values())).shape
            rasters.append(Raster(name, sample, shape, streams))
    return tuple(rasters[:MAX_RASTERS])


def _stream(events: np.ndarray, record: LayerRecord) -> SpikeStream:
    chosen = np.unique(np.linspace(0, max(0, len(events) - 1), MAX_SPIKES).astype(int))
    shown = events[chosen] if len(events) > MAX_SPIKES else events
    neuron = np.ravel_multi_index((shown["p"], shown["y"], shown["x"]), record.shape)
    return SpikeStream(
        time_ms=(shown["t"] / 1000).astype(np.float32),
        neuron=neuron.astype(np.int32),
        total=len(events),
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


def _input_blocks(frames: InputFrames) -> list[Block]:
    n_frames = len(frames.values)
    words = Markup(
        "{} events in {:.0f} ms, cut into {} frames of equal time:"
        ' <span class="more">orange</span> where channel 1 (on) has more events,'
        ' <span class="fewer">blue</span> where channel 0 (off) has more.'
    ).format(frames.events, frames.span_ms, n_frames)
    images = [
        Image(pixels, f"Frame {number} of {n_frames} of the input")
        for number, pixels in enumerate(frame_images(frames.values), start=1)
    ]
    return [Heading(f"Input of sample {frames.sample}"), Text(words), Images("frames", images)]


def _raster_plot(raster: Raster, facts: Facts) -> Plot:
    notes = []
    for role, stream in raster.streams.items():
        shown = f", {len(stream.time_ms)} shown" if len(stream.time_ms) < stream.total else ""
        notes.append(f"{facts.opening(role)}: {stream.total} spikes{shown}.")
    label = f"Raster of the spikes of layer {raster.layer} over time"
    return Plot(f"Layer {raster.layer}", " ".join(notes), label, _data(raster, facts.role_names))


def _data(raster: Raster, names: Mapping[str, str]) -> PlotData:
    """Return the spikes of one layer and sample over time, one colour a recording."""
    series = [
        Series(role, names[role], stream.time_ms, stream.neuron, stream.neuron)
        for role, stream in raster.streams.items()
    ]
    tips = (Tip("recording", "name"), Tip("time", "x", "ms"), Tip("(channel, y, x)", "address"))
    return PlotData("time (ms)", "neuron", raster.shape, series, tips)
