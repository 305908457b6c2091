"""From what a device sent to a Recording, with every spike accounted for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from speckflex.boards.chip._events import read_spikes
from speckflex.boards.chip._session import Stream, StreamOutcome  # noqa: TC001 - fields' types
from speckflex.events.streams import hash_events
from speckflex.recordings.recording import LayerRecord, Recording, SampleLog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.boards.chip._layers import PlacedLayer
    from speckflex.recordings.recording import Provenance

__all__ = ["Played", "build_recording"]


@dataclass(frozen=True, eq=False)
class Played:
    """One stream as it was played.

    Args:
        stream: the samples and when they started.
        outcome: what came back.
        potentials: (channel, y, x) by layer, at the end.
        lost_answers: neurons' answers that never came, and were asked for again.
        stray_answers: neurons' answers that came twice or too late.
        spikes_before: spikes that came after the end of the previous stream; no sample has them.
    """

    stream: Stream
    outcome: StreamOutcome
    potentials: dict[int, np.ndarray]
    lost_answers: int
    stray_answers: int
    spikes_before: int

    def pins(self) -> list[np.ndarray]:
        """Return per sample the (n, 2) int64 times (µs) and classes on the readout's pins."""
        rows = [
            (event.timestamp, event.index)
            for event in self.outcome.others
            if hasattr(event, "index") and hasattr(event, "timestamp")
        ]
        table = np.array(rows, np.int64).reshape(-1, 2)
        owner = self.stream.sample_of(table[:, 0])
        return [
            table[owner == sample] - [offset, 0]
            for sample, offset in enumerate(self.stream.offsets)
        ]


def build_recording(
    played: Sequence[Played],
    layers: Sequence[PlacedLayer],
    wanted: Sequence[int],
    *,
    keep_events: bool,
    provenance: Provenance,
) -> Recording:
    """Return the recording of all streams.

    Args:
        played: in order.
        layers: of the program, all of them.
        wanted: positions of the layers to keep.
        keep_events: keep the spikes, not their counts alone.
        provenance: of the run.
    """
    kept = [layers[index] for index in wanted]
    samples: list[tuple[list[np.ndarray], SampleLog]] = []
    for part in played:
        samples += _samples(part, layers, wanted)
    records = []
    for position, layer in enumerate(kept):
        events = tuple(arrays[position] for arrays, _ in samples)
        records.append(_record(layer, events, played, keep_events=keep_events))
    return Recording(
        layers=tuple(records),
        n_layers=len(layers),
        samples=tuple(log for _, log in samples),
        provenance=provenance,
    )


def _samples(
    played: Played, layers: Sequence[PlacedLayer], wanted: Sequence[int]
) -> list[tuple[list[np.ndarray], SampleLog]]:
    """Return per sample each layer's spikes from time 0 on, and the sample's log.

    Spikes of addresses that are no neuron can't be kept, and count as lost. So do answers that
    never came, for the whole stream in its last sample.
    """
    columns, foreign = read_spikes(played.outcome.spikes, layers)
    kept = [column for column in columns if column.layer.index in wanted]
    misplaced = sum(int((~column.inside).sum()) for column in kept)
    spikes = [_by_sample(column.events[column.inside], played.stream) for column in kept]
    samples = played.stream.samples
    lost = [0] * len(samples)
    lost[-1] += misplaced + foreign + played.lost_answers
    return [
        (found, _log(events, found, missing, played.outcome.stopped))
        for events, missing, *found in zip(samples, lost, *spikes, strict=True)
    ]


def _by_sample(events: np.ndarray, stream: Stream) -> list[np.ndarray]:
    """Return one layer's spikes of each sample, their times counted from its start."""
    owner, found = stream.sample_of(events["t"]), []
    for sample, offset in enumerate(stream.offsets):
        own = events[owner == sample]
        # a clock that ticks before the first event is due may cause a spike
        own["t"] = np.maximum(own["t"] - offset, 0)
        found.append(own)
    return found


def _log(events: np.ndarray, found: Sequence[np.ndarray], lost: int, stopped: str) -> SampleLog:
    return SampleLog(
        written=len(events),
        # no chip tells how many of them it took in
        accepted=len(events),
        read=sum(map(len, found)),
        lost=lost,
        stopped=stopped,
        input_sha256=hash_events(events),
    )


def _record(
    layer: PlacedLayer,
    events: tuple[np.ndarray, ...],
    played: Sequence[Played],
    *,
    keep_events: bool,
) -> LayerRecord:
    counts = np.zeros((len(events), *layer.core.output_shape), np.int64)
    for sample, own in enumerate(events):
        np.add.at(counts[sample], (own["p"], own["y"], own["x"]), 1)
    potentials = None
    if layer.core.readout == "potential":
        ends = [part.potentials[layer.index] for part in played if layer.index in part.potentials]
        ends = np.array(ends, np.int64).reshape(-1, *layer.core.output_shape)
        # a stream of several samples is read once, at its end
        potentials = layer.core.integrated(ends, counts) if len(ends) == len(counts) else ends
    return LayerRecord(
        index=layer.index,
        name=layer.core.name,
        counts=counts,
        events=events if keep_events else None,
        potentials=potentials,
    )
