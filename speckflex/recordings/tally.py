"""What a report needs of a recording of any length: sums over its samples, and a row for each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from speckflex.recordings.recording import joined_provenance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from speckflex.program.records import Shape
    from speckflex.recordings.recording import LayerRecord, Provenance, Recording

__all__ = ["ANSWER_COLUMNS", "COLUMNS", "LayerTally", "Tally", "add_tallies", "tally_of"]

# One int64 for each sample: what its log counts, and its spikes in all layers.
COLUMNS = ("written", "accepted", "read", "lost", "spikes")
# The answer as of `Recording.answers`, the highest score and the next, and the sum of all scores.
ANSWER_COLUMNS = ("answer", "score", "second", "total")


@dataclass(frozen=True, eq=False)
class LayerTally:
    """The spikes of one layer, over all samples.

    Args:
        index: the layer's position in the network.
        name: the layer's name in the torch network.
        spikes: (channel, y, x) int64, spikes of each neuron.
        by_potential: whether the layer is read by its potentials.
    """

    index: int
    name: str
    spikes: np.ndarray
    by_potential: bool

    @property
    def shape(self) -> Shape:
        """(channel, y, x) of the layer's neurons."""
        return self.spikes.shape

    @property
    def total(self) -> int:
        """Spikes of all neurons."""
        return int(self.spikes.sum())


@dataclass(frozen=True, eq=False)
class Tally:
    """A recording without the counts of each sample.

    Args:
        provenance: where the recording comes from.
        n_layers: how many layers the network has, monitored or not.
        n_classes: how many classes the last layer scores; 0 if it was not monitored.
        layers: the monitored layers, in network order.
        columns: (sample,) int64 each, of `COLUMNS`, and of `ANSWER_COLUMNS` where the last layer
            was monitored.
        stopped: why the reading of each sample ended.
        labels: (sample,) int64 class of each sample, negative for an unknown one; None if all are
            unknown.
    """

    provenance: Provenance
    n_layers: int
    n_classes: int
    layers: tuple[LayerTally, ...]
    columns: Mapping[str, np.ndarray]
    stopped: tuple[str, ...]
    labels: np.ndarray | None = None

    @property
    def n_samples(self) -> int:
        """How many samples were played."""
        return len(self.stopped)

    @property
    def lost_events(self) -> int:
        """How many events are known to be lost, over all samples."""
        return int(self.columns["lost"].sum())

    @property
    def output(self) -> LayerTally:
        """The last layer that is read by its spikes; the very last if none is."""
        spiking = [layer for layer in self.layers if not layer.by_potential]
        return (spiking or self.layers)[-1]

    def answers(self) -> np.ndarray:
        """Return the (sample,) int64 class that the last layer scores highest, -1 for no answer.

        Only where `n_classes` is not 0.
        """
        return self.columns["answer"]


def tally_of(recording: Recording) -> Tally:
    """Return what a report needs of a recording."""
    logs = recording.samples
    columns = {
        name: np.array([getattr(log, name) for log in logs], np.int64)
        for name in COLUMNS
        if name != "spikes"
    }
    sums = [one.counts.reshape(len(logs), -1).sum(axis=1) for one in recording.layers if len(logs)]
    columns["spikes"] = np.sum([np.zeros(len(logs), np.int64), *sums], axis=0)
    n_classes = recording.n_classes
    if n_classes:
        columns |= _answers(recording)
    return Tally(
        provenance=recording.provenance,
        n_layers=recording.n_layers,
        n_classes=n_classes,
        layers=tuple(map(_layer, recording.layers)),
        columns=columns,
        stopped=tuple(log.stopped for log in logs),
        labels=recording.labels,
    )


def _layer(record: LayerRecord) -> LayerTally:
    spikes = record.counts.sum(axis=0, dtype=np.int64)
    return LayerTally(record.index, record.name, spikes, record.potentials is not None)


def _answers(recording: Recording) -> dict[str, np.ndarray]:
    scores = recording.layer(-1).scores
    ordered = np.sort(scores, axis=1)
    return {
        "answer": recording.answers().astype(np.int64),
        "score": ordered[:, -1],
        "second": ordered[:, -2] if scores.shape[1] > 1 else np.zeros(len(scores), np.int64),
        "total": scores.sum(axis=1),
    }


def add_tallies(parts: Sequence[Tally]) -> Tally:
    """Return the tallies of parts of a recording, in order, as that of the whole.

    Args:
        parts: at least one; all of one program on the same board, the same layers monitored.
    """
    first = parts[0]
    labels = [part.labels for part in parts if part.labels is not None]
    return replace(
        first,
        provenance=joined_provenance([part.provenance for part in parts]),
        layers=tuple(
            replace(layer, spikes=np.sum([part.layers[n].spikes for part in parts], axis=0))
            for n, layer in enumerate(first.layers)
        ),
        columns={
            name: np.concatenate([part.columns[name] for part in parts]) for name in first.columns
        },
        stopped=tuple(reason for part in parts for reason in part.stopped),
        labels=np.concatenate(labels) if len(labels) == len(parts) else None,
    )
