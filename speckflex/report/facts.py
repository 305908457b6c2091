"""The facts that several sections of a report are about."""

# Annotations are evaluated here: JSON is written and read, and its schema made, from them.

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from speckflex.analysis.ensemble import LayerSpread
from speckflex.analysis.synops import LayerSynops
from speckflex.events.perturbation import Perturbation
from speckflex.fitting.checks import Check
from speckflex.networks.fold_report import FoldReport
from speckflex.program.records import Shape
from speckflex.recordings.compare import Accuracy
from speckflex.recordings.divergence import Divergence
from speckflex.report._parts import Spread, finite
from speckflex.report._roles import NAMES
from speckflex.report.bars import Bars

__all__ = [
    "SCHEMA",
    "AccuracyFacts",
    "AccuracySpread",
    "ComparisonFacts",
    "DataFacts",
    "EnsembleFacts",
    "Facts",
    "LayerComparison",
    "LayerCost",
    "LayerEffect",
    "LayerFacts",
    "PairAccuracies",
    "ProgramFacts",
    "ProgramSize",
    "RunFacts",
]

SCHEMA = 2


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
        changes: what was done to its recordings before they were played, such as a crop.
        training: what `--data` of a training takes for its training part; "" where it is not
            known to have one.
        sha256: hash of the recordings that were played, in their order: of the 32 bytes of
            `hash_events` of each, then of the labels as little-endian int64, -1 for an unknown
            one; "" where it is not known.
    """

    name: str
    classes: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    training: str = ""
    sha256: str = ""


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
        interrupted: whether the user stopped the run before its end.
        model_path: path of the model file, as it was given.
        model_sha256: hash of the model file; "" for a network in memory.
        working_directory_commit: git commit of the folder that the run was started in, with "+"
            behind it if files differ; "" without git.
    """

    model: str
    data: DataFacts
    board_asked: str
    board_note: str = ""
    bins: int | None = None
    folding: FoldReport | None = None
    interrupted: bool = False
    model_path: str = ""
    model_sha256: str = ""
    working_directory_commit: str = ""


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
        initial_low: lowest potential that a neuron starts at, in the program's integers.
        initial_high: highest potential that a neuron starts at, in the program's integers.
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
    initial_low: int = 0
    initial_high: int = 0


@dataclass(frozen=True)
class LayerFacts:
    """One layer of the network.

    Args:
        index: position in the network, from 0.
        name: name in the torch network.
        spikes: spikes that the board recorded, over all samples; null where it was not
            monitored.
        spikes_per_inference: the same for each sample.
        spikes_by_role: the same of every recording that holds the layer.
        silent_neurons: share of its neurons without any spike on the board, 0 to 1; null where
            it was not monitored.
        spike_difference: `sum |S - S'| / sum S` over samples and neurons, against the reference
            of the report, a fraction; null where it has no finite value.
        spike_difference_reason: why it has none, "" where it has one.
        cosine: cosine similarity of the two arrays of spike counts (of potentials, for a layer
            that is read by them), -1 to 1; null with one recording, and where one of the arrays
            is all zero.
        potential_difference: `sum |V - V'| / sum |V|` of the potentials at the ends of the
            samples, a fraction; null where either recording has none.
        noise_floor: spike difference of two runs of the board, a fraction; null where it ran
            once.
        core: index of its core on the chip; null where it is on no core or there is no program.
        kernel_memory: words of kernel memory that it takes; null without a program.
        neuron_memory: words of neuron memory that it takes; null without a program.
        cost: its integers and its core, where there is a program.
        synops_per_second_peak: most synaptic operations per second in any window of
            `synops.window_us` that begins at an event, over the samples that `synops` of the
            layer states; null where they were not measured.
        synops: its synaptic operations in full, and over how many samples; null without a
            program.
        weight_error: what rounding to 8 bits changed in its weights, relative to their size;
            null where it is not known.
    """

    index: int
    name: str
    spikes: int | None
    spikes_per_inference: float | None
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
        share: share of samples classified right, 0 to 1; a sample without an answer is not right.
        interval: lower and upper end of its 95 % Wilson interval.
        per_class: share of each class's samples that were classified right; null for a class
            without samples.
        confusion: number of samples with an answer by true class (outer list) and predicted class
            (inner list).
        samples: number of labelled samples.
    """

    share: float
    interval: tuple[float, float]
    per_class: tuple[float | None, ...]
    confusion: tuple[tuple[int, ...], ...]
    samples: int

    @staticmethod
    def of(accuracy: Accuracy | None) -> "AccuracyFacts | None":
        """Return the facts of a measured accuracy; None where none was measured."""
        if accuracy is None:
            return None
        return AccuracyFacts(
            accuracy.share,
            accuracy.interval,
            tuple(finite(float(share)) for share in accuracy.per_class),
            tuple(tuple(row) for row in accuracy.confusion.tolist()),
            accuracy.samples,
        )


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
class LayerEffect:
    """What one property of the chip costs in one layer, all others being as they are.

    Args:
        cause: "weights": 8 bits in place of the exact weights of this layer, in time steps with
            exact weights elsewhere. "events": this layer event by event in place of time steps,
            where the layers before it are event by event and those behind it in time steps, all
            in 8 bits. "rate": this core at the stated rate, where events that find no room are
            lost, while all other cores have room for any number.
        layer: name of the layer.
        points_lost: percentage points of accuracy that it loses, negative where it gains; null
            without labels.
        newly_wrong: number of samples that are right without it and wrong with it; null without
            labels.
        newly_right: number of samples that are wrong without it and right with it; null without
            labels.
        spike_difference: `sum |S - S'| / sum S` at the output, with S of the run without it, a
            fraction; null where that run is silent.
        samples: number of samples, the first ones.
    """

    cause: Literal["weights", "events", "rate"]
    layer: str
    points_lost: float | None
    newly_wrong: int | None
    newly_right: int | None
    spike_difference: float | None
    samples: int


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
        spike_ratio: `sum S' / sum S`, spikes of the other for each one of the reference; null
            where the reference is silent.
        spike_difference: `sum |S - S'| / sum S` over samples and neurons, a fraction; null where
            it has no finite value, so also where neither spikes.
        reason: why it has none, "" where it has one.
        cosine: cosine similarity of the two arrays of spike counts (of potentials, for a layer
            that is read by them), -1 to 1; null where one of the arrays is all zero.
        potential_difference: `sum |V - V'| / sum |V|` of the potentials at the ends of the
            samples, a fraction; null where either recording has none.
        first_divergence: first place where the layer differs; null where it is equal.
        reordered_samples: number of samples with the same events in another order.
    """

    index: int
    name: str
    spikes_reference: int
    spikes_other: int
    spike_ratio: float | None
    spike_difference: float | None
    reason: str
    cosine: float | None
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
        spike_difference: spike difference of the last layer that is read by its spikes, a
            fraction; null where it has no finite value.
        spike_difference_layer: name of that layer.
        first_divergent_layer: name of the first layer, in network order, that differs; null
            where all are equal.
        agreement: share of samples that both classify alike, 0 to 1; a sample without an answer
            in one of them is no agreement; null where the last layer was not monitored.
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


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What several sections of a report are about.

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
        lost_events: number of events known to be lost, over all recordings.
        reference: role of the reference of the main comparison; null with one recording.
        compared: role of the recording that is compared with it; null with one recording.
        spike_difference: spike difference of the main comparison in the last layer that is read
            by its spikes, `sum |S - S'| / sum S` with S of `reference` and S' of `compared`, a
            fraction; null with one recording or where it has no finite value, so also where
            neither spikes.
        spike_difference_layer: name of that layer; null with one recording.
        spike_ratio: `sum S' / sum S` in that layer; null with one recording and where the
            reference is silent.
        silent_layers: names of the layers that are read by their spikes and have none on the
            board, in any sample.
        agreement: share of samples that both classify alike, 0 to 1; a sample without an answer
            in one of them is no agreement; null with one recording or where the last layer was
            not monitored.
        noise_floor: spike difference of two runs of the board in the last layer that is read by
            its spikes, a fraction; null where the board ran once, and where nothing spikes.
        layers: the layers, in network order.
        comparisons: all pairs of recordings, the main comparison first.
        checks: findings of the conversion.
        command: what the user typed, "" where the report was made from Python.
        passed: whether no stated bar is missed; true where none was stated.
        missed: a sentence for each stated bar that is missed.
        bars: the stated bars.
        run: how a deployment ran; None for a comparison of recordings.
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
    reference: str | None
    compared: str | None
    spike_difference: float | None
    spike_difference_layer: str | None
    spike_ratio: float | None
    silent_layers: tuple[str, ...]
    agreement: float | None
    noise_floor: float | None
    layers: tuple[LayerFacts, ...]
    comparisons: tuple[ComparisonFacts, ...]
    checks: tuple[Check, ...]
    command: str
    passed: bool = True
    missed: tuple[str, ...] = ()
    bars: Bars = field(default_factory=Bars)
    run: RunFacts | None = None

    def name_of(self, role: str) -> str:
        """Return how sentences call a role."""
        return self.role_names.get(role, NAMES.get(role, role))

    def opening(self, role: str) -> str:
        """Return how a role is called at the start of a sentence; a file keeps its name."""
        name = self.name_of(role)
        return f"The {name[4:]}" if name.startswith("the ") else name
