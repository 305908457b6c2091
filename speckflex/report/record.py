"""The record of a deployment or comparison: every rendering of a report is made from it."""

# Annotations are evaluated here: JSON is written and read, and its schema made, from them.

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from speckflex.analysis.core_load import LayerLoad
from speckflex.analysis.ensemble import LayerSpread
from speckflex.analysis.synops import LayerSynops
from speckflex.events.perturbation import Perturbation
from speckflex.fitting.finding import Check
from speckflex.networks.fold_report import FoldReport
from speckflex.program.records import Shape
from speckflex.recordings.divergence import Divergence
from speckflex.recordings.recording import Provenance
from speckflex.report.parts import DRAWN, Spread

__all__ = [
    "SCHEMA",
    "Accuracies",
    "AccuracyFacts",
    "AccuracySpread",
    "ComparisonFacts",
    "CoreLoads",
    "CoreWork",
    "DataFacts",
    "DifferenceMap",
    "EnsembleFacts",
    "EnsembleSpread",
    "InputFrames",
    "LayerComparison",
    "LayerCost",
    "LayerFacts",
    "Neurons",
    "OneSample",
    "Origins",
    "PairAccuracies",
    "PlayedSamples",
    "ProgramFacts",
    "ProgramSize",
    "Raster",
    "Report",
    "RunFacts",
    "Scatter",
    "SpikeStream",
    "SynopsLimit",
    "WorkOverTime",
]

SCHEMA = 1


@dataclass(frozen=True)
class ProgramSize(Spread):
    """What is known of a program that is at hand.

    Args:
        input_shape: (channel, y, x) of the input events.
        cores: number of cores that it uses.
    """

    input_shape: Shape
    cores: int


@dataclass(frozen=True)
class ProgramFacts:
    """The program that ran.

    Args:
        sha256: hash of its content; "" where the recordings do not name it.
        chip: chip that it was converted for: "speck2e", "speck2f" or "unbounded"; null where
            only recordings are at hand.
        size: input shape and number of cores, where the program is at hand.
        metadata: what its conversion wrote about itself, by name.
    """

    sha256: str
    chip: str | None
    size: ProgramSize | None
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class DataFacts:
    """The data set that was played.

    Args:
        name: its folder, file or name.
        classes: names of its classes, in the order of their numbers.
        warnings: sentences about its recordings, such as that their times run backwards.
    """

    name: str
    classes: tuple[str, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunFacts(Spread):
    """How a deployment ran.

    Args:
        model: name of the model file.
        data: the data set that was played.
        board_asked: name of the board that the user asked for.
        board_note: why another board ran, "" where it was the one.
        bins: time steps of the torch reference; null without a torch network.
        folding: what folding batch norms and biases dropped; null where nothing was folded.
        accuracy_before_folding: share of samples that the trained torch network classified
            right before it was folded, 0 to 1; null where nothing was folded or no sample has a
            label.
        interrupted: whether the user stopped the run before its end.
    """

    model: str
    data: DataFacts
    board_asked: str
    board_note: str = ""
    bins: int | None = None
    folding: FoldReport | None = None
    accuracy_before_folding: float | None = None
    interrupted: bool = False


@dataclass(frozen=True)
class LayerCost(Spread):
    """What one layer takes on the chip, and its integers.

    Args:
        kernel_limit: words of kernel memory that its core holds; null where it is on no core.
        neuron_limit: words of neuron memory that its core holds; null where it is on no core.
        repeatable: whether its core handles events in a repeatable order; null where it is on
            no core.
        input_shape: (channel, y, x) of its input.
        output_shape: (channel, y, x) of its neurons.
        weights: number of its weights.
        threshold_high: firing threshold of its neurons, in the program's integers.
        threshold_low: lowest potential of its neurons, in the program's integers.
        readout: "spikes" or "potential": what is read from it.
        weights_saturated: share of its weights at the smallest or largest 8-bit value, 0 to 1.
        weights_zero: share of its weights that are 0, 0 to 1.
        weights_above_threshold: share of its weights that reach the firing threshold, 0 to 1.
        channels_without_weights: number of its output channels whose weights are all 0.
    """

    kernel_limit: int | None
    neuron_limit: int | None
    repeatable: bool | None
    input_shape: Shape
    output_shape: Shape
    weights: int
    threshold_high: int
    threshold_low: int
    readout: str
    weights_saturated: float
    weights_zero: float
    weights_above_threshold: float
    channels_without_weights: int


@dataclass(frozen=True)
class LayerFacts:
    """One layer of the network.

    Args:
        index: position in the network, from 0.
        name: name in the torch network.
        spikes: spikes that the board recorded, over all samples; null where it was not
            monitored.
        spikes_by_role: the same of every recording that holds the layer.
        silent_neurons: share of its neurons without any spike on the board, 0 to 1; null where
            it was not monitored.
        spike_difference: `sum |S - S'| / sum S` over samples and neurons, against the reference
            of the report, a fraction; null where it has no finite value.
        spike_difference_reason: why it has none, "" where it has one.
        cosine: cosine similarity of the two arrays of spike counts (of potentials, for a layer
            that is read by them), -1 to 1; null with one recording.
        potential_difference: `sum |V - V'| / sum |V|` of the potentials at the ends of the
            samples, a fraction; null where either recording has none.
        noise_floor: spike difference of two runs of the board, a fraction; null where it ran
            once.
        core: index of its core on the chip; null where it is on no core or there is no program.
        kernel_memory: words of kernel memory that it takes; null without a program.
        neuron_memory: words of neuron memory that it takes; null without a program.
        cost: its integers and its core, where there is a program.
        synops_per_second_peak: most synaptic operations per second in any window of
            `synops.window_us`; null where they were not measured.
        synops: its synaptic operations in full; null without a program.
        weight_error: what rounding to 8 bits changed in its weights, relative to their size;
            null where it is not known.
    """

    index: int
    name: str
    spikes: int | None
    spikes_by_role: Mapping[str, int]
    silent_neurons: float | None
    spike_difference: float | None
    spike_difference_reason: str
    cosine: float | None
    potential_difference: float | None
    noise_floor: float | None
    core: int | None
    kernel_memory: int | None
    neuron_memory: int | None
    cost: LayerCost | None
    synops_per_second_peak: float | None
    synops: LayerSynops | None
    weight_error: float | None


@dataclass(frozen=True)
class AccuracyFacts:
    """How often one recording names the right class.

    Args:
        share: share of samples classified right, 0 to 1.
        interval: lower and upper end of its 95 % Wilson interval.
        per_class: share of each class's samples that were classified right; null for a class
            without samples.
        confusion: number of samples by true class (outer list) and predicted class (inner list).
    """

    share: float
    interval: tuple[float, float]
    per_class: tuple[float | None, ...]
    confusion: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class PairAccuracies:
    """The accuracies of two recordings that are compared.

    Args:
        reference: of the reference; null without labels.
        other: of the other recording; null without labels.
    """

    reference: AccuracyFacts | None
    other: AccuracyFacts | None


@dataclass(frozen=True)
class LayerComparison:
    """How far one layer of two recordings differs.

    Args:
        index: position in the network, from 0.
        name: name in the torch network.
        spikes_reference: spikes of the reference, over all samples.
        spikes_other: spikes of the other recording, over all samples.
        spike_difference: `sum |S - S'| / sum S` over samples and neurons, a fraction; null where
            it has no finite value.
        reason: why it has none, "" where it has one.
        cosine: cosine similarity of the two arrays of spike counts (of potentials, for a layer
            that is read by them), -1 to 1.
        potential_difference: `sum |V - V'| / sum |V|` of the potentials at the ends of the
            samples, a fraction; null where either recording has none.
        first_divergence: first place where the layer differs; null where it is equal.
        reordered_samples: number of samples with the same events in another order.
    """

    index: int
    name: str
    spikes_reference: int
    spikes_other: int
    spike_difference: float | None
    reason: str
    cosine: float
    potential_difference: float | None
    first_divergence: Divergence | None
    reordered_samples: int


@dataclass(frozen=True)
class ComparisonFacts:
    """How far two recordings differ.

    Args:
        reference: role of the reference.
        other: role of the recording that is compared with it.
        samples: number of samples.
        spike_difference: spike difference of the last layer that spikes, a fraction; null where
            it has no finite value.
        spike_difference_layer: name of that layer.
        first_divergent_layer: name of the first layer, in network order, that differs; null
            where all are equal.
        agreement: share of samples that both classify alike, 0 to 1; null where the last layer
            was not monitored.
        unlike_inputs: number of samples that were played with other events on the two boards.
        accuracy: accuracies of the two.
        layers: the layers that both recordings hold, in network order.
        first_divergence: sentence about the first difference; null where all layers are equal.
    """

    reference: str
    other: str
    samples: int
    spike_difference: float | None
    spike_difference_layer: str
    first_divergent_layer: str | None
    agreement: float | None
    unlike_inputs: int
    accuracy: PairAccuracies
    layers: tuple[LayerComparison, ...]
    first_divergence: str | None


@dataclass(frozen=True)
class Accuracies(Spread):
    """How often each recording names the right class; "torch", "twin" and "chip" always appear.

    Args:
        accuracy: share of samples classified right by role, 0 to 1; null without a recording or
            labels.
        accuracy_interval: lower and upper end of its 95 % Wilson interval, by role.
        accuracy_per_class: share of each class's samples that were classified right, by role;
            null for a class without samples.
        confusion: number of samples by true class and predicted class, by role.
        silent_outputs: number of samples in which the last layer scores no class, by role; they
            count as class 0.
    """

    accuracy: Mapping[str, float | None]
    accuracy_interval: Mapping[str, tuple[float, float] | None]
    accuracy_per_class: Mapping[str, tuple[float | None, ...] | None]
    confusion: Mapping[str, tuple[tuple[int, ...], ...] | None]
    silent_outputs: Mapping[str, int]

    @property
    def known(self) -> list[tuple[str, float, tuple[float, float]]]:
        """(role, accuracy, interval) of the recordings whose accuracy is known."""
        intervals = self.accuracy_interval
        return [
            (role, share, interval)
            for role, share in self.accuracy.items()
            if share is not None and (interval := intervals[role]) is not None
        ]


@dataclass(frozen=True)
class AccuracySpread:
    """How far the accuracy of the plays of an ensemble spreads.

    Args:
        mean: mean over the plays, 0 to 1.
        least: lowest, 0 to 1.
        most: highest, 0 to 1.
    """

    mean: float
    least: float
    most: float


@dataclass(frozen=True)
class EnsembleFacts:
    """How far plays of the same samples on the twin differ, each with small changes.

    Args:
        plays: number of plays.
        seed: seed of all that is random in them.
        perturbation: the changes of a play.
        layers: the spread of every layer, in network order.
        accuracy: the spread of the accuracy; null without labels.
        samples: number of samples of a play.
    """

    plays: int
    seed: int
    perturbation: Perturbation
    layers: tuple[LayerSpread, ...]
    accuracy: AccuracySpread | None
    samples: int


@dataclass(frozen=True)
class EnsembleSpread(Spread):
    """The ensemble, where one was asked for.

    Args:
        ensemble: how far plays of the same samples on the twin differ, each with small changes.
    """

    ensemble: EnsembleFacts


@dataclass(frozen=True, eq=False)
class Scatter:
    """Spike counts of one layer's neurons in two recordings, one point a pair of counts.

    Args:
        layer: name of the layer.
        x_role: role of the recording on the x axis.
        y_role: role of the recording on the y axis.
        x: `(point,) int32`, spikes over all samples.
        y: `(point,) int32`, spikes over all samples.
        neurons: `(point,) int32`, number of neurons with these counts.
        address: (channel, y, x) of the first of them, as text.
        pairs: number of different pairs of counts, shown or not.
        total: number of neurons.
    """

    layer: str
    x_role: str
    y_role: str
    x: np.ndarray
    y: np.ndarray
    neurons: np.ndarray
    address: tuple[str, ...]
    pairs: int
    total: int


@dataclass(frozen=True, eq=False)
class DifferenceMap:
    """Difference of two recordings at every neuron of a layer.

    Args:
        layer: name of the layer.
        x_role: role of the recording that is subtracted.
        y_role: role of the recording that it is subtracted from.
        values: `(channel, y, x) float64`, spikes per sample; single neurons in rows of one map.
        largest: largest magnitude, spikes per sample.
        channels: number of channels, shown or not.
        row_of_neurons: whether the layer has single neurons in place of maps.
    """

    layer: str
    x_role: str
    y_role: str
    values: np.ndarray
    largest: float
    channels: int
    row_of_neurons: bool

    @property
    def hidden(self) -> int:
        """Number of channels that are not shown."""
        return self.channels - len(self.values)


@dataclass(frozen=True)
class Neurons(Spread):
    """Two recordings neuron by neuron.

    Args:
        scatter: spike counts, one picture a layer.
        maps: where they differ, one picture a layer.
    """

    scatter: tuple[Scatter, ...] = field(default=(), repr=False, compare=False, metadata=DRAWN)
    maps: tuple[DifferenceMap, ...] = field(default=(), repr=False, compare=False, metadata=DRAWN)


@dataclass(frozen=True, eq=False)
class SpikeStream:
    """Spikes of one layer in one sample of one recording.

    Args:
        time_ms: `(spike,) float32`, ms.
        neuron: `(spike,) int32`, index in the layer, row by row.
        address: (channel, y, x) of each, as text.
        total: number of spikes, shown or not.
    """

    time_ms: np.ndarray
    neuron: np.ndarray
    address: tuple[str, ...]
    total: int


@dataclass(frozen=True, eq=False)
class Raster:
    """Spikes of one layer in one sample.

    Args:
        layer: name of the layer.
        sample: index of the sample.
        streams: the spikes by role.
    """

    layer: str
    sample: int
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
class OneSample(Spread):
    """The sample whose output differs most.

    Args:
        rasters: its spikes, one picture a layer.
        frames: its input; None where the input events are not at hand.
    """

    rasters: tuple[Raster, ...] = field(default=(), repr=False, compare=False, metadata=DRAWN)
    frames: InputFrames | None = field(default=None, repr=False, compare=False, metadata=DRAWN)


@dataclass(frozen=True)
class SynopsLimit:
    """The limit that synaptic operations are compared with.

    Args:
        window_us: width of the window that a peak is averaged over, µs.
        limit_per_second: synaptic operations per second that a core is said to do.
        limit_source: where the limit comes from.
    """

    window_us: int
    limit_per_second: float
    limit_source: str


@dataclass(frozen=True, eq=False)
class WorkOverTime:
    """Synaptic operations of one layer over the sample in which they peak.

    Args:
        layer: name of the layer.
        sample: index of the sample.
        start_ms: `(window,) float64`, start of each window, ms.
        rate: `(window,) float64`, synaptic operations per second in each window.
        window_ms: width of the windows, ms.
    """

    layer: str
    sample: int
    start_ms: np.ndarray
    rate: np.ndarray
    window_ms: float


@dataclass(frozen=True)
class CoreWork(Spread):
    """The work of the cores.

    Args:
        synops: the limit that synaptic operations are compared with.
        work: synaptic operations over time, one line a layer.
    """

    synops: SynopsLimit
    work: tuple[WorkOverTime, ...] = field(default=(), repr=False, compare=False, metadata=DRAWN)


@dataclass(frozen=True)
class CoreLoads(Spread):
    """Whether the cores keep up, at an unverified rate of work.

    Args:
        load: one entry per core of the program, in network order.
        load_samples: number of samples that were played to measure it.
    """

    load: tuple[LayerLoad, ...]
    load_samples: int


@dataclass(frozen=True)
class PlayedSamples:
    """What became of the samples of one recording.

    Args:
        samples: number of samples.
        written: input events that were handed to the board.
        accepted: input events that the board accepted.
        read: spikes that were read back.
        lost: events known to be lost, input or output.
        stopped: number of samples by what ended their reading: "complete", "silence",
            "deadline" or "interrupted".
    """

    samples: int
    written: int
    accepted: int
    read: int
    lost: int
    stopped: Mapping[str, int]


@dataclass(frozen=True)
class Origins(Spread):
    """Where the recordings come from.

    Args:
        provenance: board, versions and settings of each recording, by role.
        played_samples: what became of its samples, by role.
    """

    provenance: Mapping[str, Provenance]
    played_samples: Mapping[str, PlayedSamples]


@dataclass(frozen=True, kw_only=True)
class Report:
    """What `report.json` holds, and what its pictures are drawn from.

    Recordings are named by their roles: "torch", "twin", "chip" or a name of the caller's own.

    Args:
        schema: version of this format; it grows when a field changes its meaning.
        speckflex: version of the package that wrote the report.
        program: the program that ran.
        board: name of the board that ran.
        board_kind: kind of that board: "torch", "twin", "chip", "virtual" or "replay".
        played: role of the recording of that board.
        role_names: how sentences call each role.
        synthetic: whether the samples are simulated, not recorded by a camera.
        samples: number of samples that were played.
        lost_events: events known to be lost, over all recordings.
        accuracies: how often each recording names the right class.
        reference: role of the reference of the main comparison; null with one recording.
        compared: role of the recording that is compared with it; null with one recording.
        spike_difference: spike difference of the main comparison in the last layer that spikes,
            a fraction; null with one recording or where it has no finite value.
        spike_difference_layer: name of that layer; null with one recording.
        agreement: share of samples that both classify alike, 0 to 1; null with one recording or
            where the last layer was not monitored.
        noise_floor: spike difference of two runs of the board in the last layer that spikes, a
            fraction; null where the board ran once.
        layers: the layers, in network order.
        work: the work of the cores.
        comparisons: all pairs of recordings, the main comparison first.
        checks: findings of the conversion.
        origins: where the recordings come from.
        command: what the user typed, "" where the report was made from Python.
        verdict: the summary in a few sentences.
        run: how a deployment ran; None for a comparison of recordings.
        loads: whether the cores keep up; None where it was not measured.
        spread: how far changed plays differ; None where none were asked for.
        neurons: two recordings neuron by neuron.
        one_sample: the sample whose output differs most.
    """

    schema: int
    speckflex: str
    program: ProgramFacts
    board: str
    board_kind: str
    played: str
    role_names: Mapping[str, str]
    synthetic: bool
    samples: int
    lost_events: int
    accuracies: Accuracies
    reference: str | None
    compared: str | None
    spike_difference: float | None
    spike_difference_layer: str | None
    agreement: float | None
    noise_floor: float | None
    layers: tuple[LayerFacts, ...]
    work: CoreWork
    comparisons: tuple[ComparisonFacts, ...]
    checks: tuple[Check, ...]
    origins: Origins
    command: str
    verdict: str
    run: RunFacts | None = None
    loads: CoreLoads | None = None
    spread: EnsembleSpread | None = None
    neurons: Neurons = field(default_factory=Neurons)
    one_sample: OneSample = field(default_factory=OneSample)
