"""How far two recordings of one program differ, layer by layer, in spikes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex.errors import ComparisonError
from speckflex.recordings._display import difference_html, difference_line
from speckflex.recordings.divergence import Divergence, count_reordered, find_divergence
from speckflex.recordings.measures import (
    PairSums,
    confusion_matrix,
    sums_of_pair,
    wilson_interval,
)
from speckflex.recordings.recording import Recording

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from speckflex.recordings.recording import LayerRecord
    from speckflex.recordings.tally import Tally

__all__ = [
    "Accuracy",
    "ComparedPart",
    "Difference",
    "LayerDifference",
    "add_compared",
    "compare",
    "compare_part",
    "difference_of",
    "layer_from_sums",
    "measure_accuracy",
]


@dataclass(frozen=True, eq=False)
class Accuracy:
    """How often a recording's last layer names the right class.

    Args:
        share: right predictions per sample, 0 to 1. A sample without an answer is not right.
        interval: the 95 % Wilson interval of the share.
        confusion: (class, predicted class) int64, of the samples with an answer.
        labels_per_class: (class,) int64: the labelled samples of each class.
    """

    share: float
    interval: tuple[float, float]
    confusion: np.ndarray
    labels_per_class: np.ndarray

    @property
    def samples(self) -> int:
        """How many labelled samples there are."""
        return int(self.labels_per_class.sum())

    @property
    def per_class(self) -> np.ndarray:
        """(class,) float: the share of each class's samples predicted right; NaN without any."""
        totals = self.labels_per_class
        shares = np.full(len(totals), np.nan)
        return np.divide(self.confusion.diagonal(), totals, out=shares, where=totals > 0)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON types."""
        return {
            "share": self.share,
            "interval": list(self.interval),
            "per_class": [_finite(float(share)) for share in self.per_class],
            "confusion": self.confusion.tolist(),
        }


@dataclass(frozen=True, eq=False)
class LayerDifference:
    """How far one layer's spikes differ from the reference's.

    A figure that would be 0 / 0 is None: two silent layers are not alike, there is nothing to
    compare.

    Args:
        index: the layer's position in the network.
        name: the layer's name in the torch network.
        spikes_a: spikes of the reference, over all samples and neurons.
        spikes_b: spikes of the other.
        spike_difference: `sum |S - S'| / sum S` over samples and neurons (Eq. 16); infinite if the
            reference is silent and the other isn't; None where both are silent, and for a layer
            read by potentials.
        per_sample: (sample,) float, the same for each sample alone; NaN where None.
        cosine: of the two count arrays; of the potentials for a layer that is read by them. None
            where one of the arrays is all zero.
        potential_difference: `sum |V - V'| / sum |V|` at the ends of the samples, in the
            program's integers; None if either recording has no potentials.
        first_divergence: the first event or neuron that differs; None if nothing does.
        reordered_samples: samples whose events are the same in another order.
        reason: why `spike_difference` is no finite number; "" if it is one.
        by_potential: whether both recordings read the layer by its potentials.
        counts: sums over the two arrays of spike counts.
        potentials: sums over those of potentials; None if either recording has none.
    """

    index: int
    name: str
    spikes_a: int
    spikes_b: int
    spike_difference: float | None
    per_sample: np.ndarray
    cosine: float | None
    potential_difference: float | None = None
    first_divergence: Divergence | None = None
    reordered_samples: int = 0
    reason: str = ""
    by_potential: bool = False
    counts: PairSums = field(default_factory=PairSums, repr=False)
    potentials: PairSums | None = field(default=None, repr=False)

    @property
    def spike_ratio(self) -> float | None:
        """Spikes of the other per spike of the reference; None where the reference is silent."""
        return self.spikes_b / self.spikes_a if self.spikes_a else None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as strict JSON types: null for a number that is not finite."""
        divergence = self.first_divergence
        return {
            "index": self.index,
            "name": self.name,
            "spikes_reference": self.spikes_a,
            "spikes_other": self.spikes_b,
            "spike_ratio": self.spike_ratio,
            "spike_difference": _finite(self.spike_difference),
            "reason": self.reason,
            "per_sample": [_finite(float(value)) for value in self.per_sample],
            "cosine": self.cosine,
            "potential_difference": _finite(self.potential_difference),
            "first_divergence": None if divergence is None else divergence.to_dict(),
            "reordered_samples": self.reordered_samples,
        }


@dataclass(frozen=True, eq=False)
class Difference:
    """How far a recording differs from a reference, `a`.

    Args:
        layers: one difference per layer that both recordings hold, in network order.
        n_samples: how many samples both played.
        accuracy_a: of the reference; None without labels, samples or last layer.
        accuracy_b: of the other.
        agreement: share of samples that both classify the same; None without a last layer. A sample
            without an answer in either recording is no agreement.
        noise_floor: the difference between runs of one board, if it was measured.
        unlike_inputs: samples whose input events are known to differ.
    """

    layers: tuple[LayerDifference, ...]
    n_samples: int
    accuracy_a: Accuracy | None = None
    accuracy_b: Accuracy | None = None
    agreement: float | None = None
    noise_floor: Difference | None = None
    unlike_inputs: int = 0

    def __repr__(self) -> str:
        return difference_line(self)

    def _repr_html_(self) -> str:
        return difference_html(self)

    def plot(self) -> Figure:
        """Return a picture of the spike difference and the spikes of each layer.

        Raises:
            SpeckflexError: matplotlib is not installed.
        """
        from speckflex.recordings._plots import plot_difference

        return plot_difference(self)

    def layer(self, index: int) -> LayerDifference:
        """Return the difference of the layer at that position of the network.

        Raises:
            ComparisonError: not both recordings hold that layer.
        """
        for layer in self.layers:
            if layer.index == index:
                return layer
        held = ", ".join(str(layer.index) for layer in self.layers)
        raise ComparisonError(f"layer {index} was not compared, only {held}: monitor it on both")

    @property
    def output(self) -> LayerDifference:
        """The last layer that is read by its spikes; the very last if none is."""
        spiking = [layer for layer in self.layers if not layer.by_potential]
        return (spiking or self.layers)[-1]

    @property
    def spike_difference(self) -> float | None:
        """The spike difference of the output: the last layer that is read by its spikes."""
        return self.output.spike_difference

    @property
    def first_divergent_layer(self) -> LayerDifference | None:
        """The first layer, in network order, whose spikes differ; None if all agree."""
        divergent = (layer for layer in self.layers if layer.first_divergence is not None)
        return next(divergent, None)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as strict JSON types."""
        first = self.first_divergent_layer
        accuracies = {"reference": self.accuracy_a, "other": self.accuracy_b}
        return {
            "samples": self.n_samples,
            "spike_difference": _finite(self.spike_difference),
            "spike_difference_layer": self.output.name,
            "first_divergent_layer": None if first is None else first.name,
            "agreement": self.agreement,
            "unlike_inputs": self.unlike_inputs,
            "accuracy": {
                name: None if accuracy is None else accuracy.to_dict()
                for name, accuracy in accuracies.items()
            },
            "layers": [layer.to_dict() for layer in self.layers],
            "noise_floor": None if self.noise_floor is None else self.noise_floor.to_dict(),
        }


def compare(
    a: Recording,
    b: Recording,
    *,
    noise_floor: Difference | None = None,
    same_program: bool = True,
) -> Difference:
    """Return how far recording `b` differs from the reference `a`.

    Layers that only one of them monitored are left out.

    Args:
        a: the reference: the real chip if there is one, else its twin (MTT paper, Eq. 16).
        b: what is compared with it.
        noise_floor: the difference between runs of one board, to be shown beside this one.
        same_program: refuse recordings of different programs.

    Raises:
        ComparisonError: the recordings differ in program, samples, labels or layer shapes, or
            have no layer in common.
    """
    for recording in (a, b):
        _check_is_recording(recording)
    part = compare_part(a, b, same_program=same_program)
    return difference_of(part, a, b, noise_floor=noise_floor)


@dataclass(frozen=True, eq=False)
class ComparedPart:
    """How far the layers of two recordings differ, in sums that those of other parts add to.

    Args:
        layers: one difference per layer that both recordings hold, in network order.
        n_samples: how many samples both played.
        unlike_inputs: samples whose input events are known to differ.
    """

    layers: tuple[LayerDifference, ...]
    n_samples: int
    unlike_inputs: int


def compare_part(a: Recording, b: Recording, *, same_program: bool = True) -> ComparedPart:
    """Return how far the layers of `b` differ from those of `a`; arguments and errors of `compare`.

    The parts of a long recording are compared one by one, and `add_compared` adds them.
    """
    _check_comparable(a, b, same_program=same_program)
    others = {record.index: record for record in b.layers}
    pairs = [(record, others[record.index]) for record in a.layers if record.index in others]
    if not pairs:
        raise ComparisonError(
            f"{_name(a)} and {_name(b)} have no monitored layer in common: monitor the same layers"
        )
    layers = tuple(_compare_layer(one, other) for one, other in pairs)
    return ComparedPart(layers, a.n_samples, _count_unlike_inputs(a, b))


def add_compared(parts: Sequence[ComparedPart]) -> ComparedPart:
    """Return what was compared in parts, in order, as of the whole recordings.

    Args:
        parts: at least one; all of the same layers.
    """
    starts = np.cumsum([0, *(part.n_samples for part in parts)]).tolist()
    return ComparedPart(
        tuple(
            _add_layers(layers, starts)
            for layers in zip(*(part.layers for part in parts), strict=True)
        ),
        starts[-1],
        sum(part.unlike_inputs for part in parts),
    )


def _add_layers(parts: Sequence[LayerDifference], starts: Sequence[int]) -> LayerDifference:
    divergences = (
        replace(part.first_divergence, sample=part.first_divergence.sample + start)
        for part, start in zip(parts, starts, strict=False)
        if part.first_divergence is not None
    )
    potentials = [part.potentials for part in parts if part.potentials is not None]
    head = parts[0]
    return layer_from_sums(
        (head.index, head.name, head.by_potential),
        sum((part.counts for part in parts), PairSums()),
        sum(potentials, PairSums()) if len(potentials) == len(parts) else None,
        spikes=(sum(part.spikes_a for part in parts), sum(part.spikes_b for part in parts)),
        per_sample=np.concatenate([part.per_sample for part in parts]),
        divergence=(next(divergences, None), sum(part.reordered_samples for part in parts)),
    )


def difference_of(
    part: ComparedPart,
    a: Recording | Tally,
    b: Recording | Tally,
    *,
    noise_floor: Difference | None = None,
) -> Difference:
    """Return how far `b` differs from the reference `a`, of which all parts were compared.

    Args:
        part: the sum of the parts.
        a: the reference, or what is known of all its samples.
        b: what is compared with it.
        noise_floor: as for `compare`.
    """
    labels = a.labels if a.labels is not None else b.labels
    return Difference(
        layers=part.layers,
        n_samples=part.n_samples,
        accuracy_a=measure_accuracy(a, labels),
        accuracy_b=measure_accuracy(b, labels),
        agreement=_agreement(a, b),
        noise_floor=noise_floor,
        unlike_inputs=part.unlike_inputs,
    )


def _check_is_recording(recording: object) -> None:
    if not isinstance(recording, Recording):
        raise ComparisonError(
            f"a {type(recording).__name__} can't be compared, it is no Recording: read a file"
            " with Recording.load"
        )


def measure_accuracy(
    recording: Recording | Tally, labels: np.ndarray | None = None
) -> Accuracy | None:
    """Return a recording's accuracy; None without labels, samples or last layer.

    Args:
        recording: what a board returned, or what is known of all its samples.
        labels: (sample,) the class of each sample, negative for an unknown one; None for the
            recording's own.
    """
    labels = recording.labels if labels is None else labels
    known = np.zeros(0, bool) if labels is None else labels >= 0
    if labels is None or not known.any() or not recording.n_classes:
        return None
    answers, labels = recording.answers()[known], labels[known]
    right = int((answers == labels).sum())
    n_classes = max(recording.n_classes, int(labels.max()) + 1)
    return Accuracy(
        right / len(labels),
        wilson_interval(right, len(labels)),
        confusion_matrix(labels, answers, n_classes),
        np.bincount(labels, minlength=n_classes),
    )


def _compare_layer(a: LayerRecord, b: LayerRecord) -> LayerDifference:
    if a.shape != b.shape:
        raise ComparisonError(
            f"layer {a.name}: has shape {a.shape} in one recording and {b.shape} in the other"
            " (channel, y, x): compare recordings of one network"
        )
    by_potential = a.potentials is not None and b.potentials is not None
    return layer_from_sums(
        (a.index, a.name, by_potential),
        sums_of_pair(a.counts, b.counts),
        sums_of_pair(a.potentials, b.potentials)
        if a.potentials is not None and b.potentials is not None
        else None,
        spikes=(int(a.counts.sum()), int(b.counts.sum())),
        per_sample=_per_sample(a.counts, b.counts, by_potential=by_potential),
        divergence=(find_divergence(a, b), count_reordered(a, b)),
    )


def layer_from_sums(
    layer: tuple[int, str, bool],
    counts: PairSums,
    potentials: PairSums | None,
    *,
    spikes: tuple[int, int],
    per_sample: np.ndarray,
    divergence: tuple[Divergence | None, int],
) -> LayerDifference:
    """Return the difference of a layer, whose figures follow from sums.

    Args:
        layer: its position and name, and whether both recordings read it by its potentials.
        counts: sums over the two arrays of spike counts.
        potentials: sums over those of potentials; None if either recording has none.
        spikes: of the reference and of the other.
        per_sample: (sample,) float, the spike difference of each sample.
        divergence: the first one, and the number of reordered samples.
    """
    index, name, by_potential = layer
    difference = None if by_potential else counts.relative_difference
    return LayerDifference(
        index=index,
        name=name,
        spikes_a=spikes[0],
        spikes_b=spikes[1],
        spike_difference=difference,
        per_sample=per_sample,
        cosine=(potentials or PairSums()).cosine if by_potential else counts.cosine,
        potential_difference=potentials and potentials.relative_difference,
        first_divergence=divergence[0],
        reordered_samples=divergence[1],
        reason=_reason(difference, by_potential=by_potential),
        by_potential=by_potential,
        counts=counts,
        potentials=potentials,
    )


def _per_sample(a: np.ndarray, b: np.ndarray, *, by_potential: bool) -> np.ndarray:
    """Return Eq. 16 of each sample alone: infinite or NaN where the reference is silent."""
    if by_potential:
        return np.full(len(a), np.nan)
    inside = tuple(range(1, a.ndim))
    distances = np.abs(np.subtract(a, b, dtype=np.int64)).sum(axis=inside)
    with np.errstate(divide="ignore", invalid="ignore"):
        return distances / a.sum(axis=inside, dtype=np.int64)


def _reason(difference: float | None, *, by_potential: bool) -> str:
    if by_potential:
        return "the layer is read by its potentials"
    if difference is None:
        return "neither recording has a spike in this layer"
    return (
        ""
        if isfinite(difference)
        else "the reference has no spike in this layer, and the other has some"
    )


def _agreement(a: Recording | Tally, b: Recording | Tally) -> float | None:
    if not a.n_samples or not (a.n_classes and b.n_classes):
        return None
    answers = a.answers()
    return float(((answers == b.answers()) & (answers >= 0)).mean())


def _count_unlike_inputs(a: Recording, b: Recording) -> int:
    """Count the samples whose input events have different hashes in the two recordings."""
    hashes = ((x.input_sha256, y.input_sha256) for x, y in zip(a.samples, b.samples, strict=True))
    return sum(bool(one and other and one != other) for one, other in hashes)


def _check_comparable(a: Recording, b: Recording, *, same_program: bool) -> None:
    one, other = a.provenance.program_sha256, b.provenance.program_sha256
    if same_program and one and other and one != other:
        raise ComparisonError(
            f"{_name(a)} ran program {one[:12]}, {_name(b)} ran {other[:12]}: compare recordings"
            " of one program"
        )
    facts = {"samples": (a.n_samples, b.n_samples), "layers": (a.n_layers, b.n_layers)}
    for what, (here, there) in facts.items():
        if here != there:
            raise ComparisonError(
                f"{_name(a)} has {here} {what}, {_name(b)} has {there}: compare recordings of the"
                " same samples and network"
            )
    if a.labels is not None and b.labels is not None and not np.array_equal(a.labels, b.labels):
        index = int((a.labels != b.labels).argmax())
        raise ComparisonError(
            f"sample {index} has label {a.labels[index]} on {_name(a)} and {b.labels[index]} on"
            f" {_name(b)}: compare recordings of the same samples in the same order"
        )


def _name(recording: Recording) -> str:
    return recording.provenance.board or recording.provenance.kind


def _finite(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None
