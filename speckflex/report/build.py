"""From recordings to the record of a report."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from speckflex.analysis.synops import WINDOW
from speckflex.chips import DEFAULT_CHIP, find_chip
from speckflex.recordings.compare import measure_accuracy
from speckflex.report.charts.figures import find_neurons, find_one_sample, find_work
from speckflex.report.evidence import gather_evidence
from speckflex.report.layers import layer_facts
from speckflex.report.parts import finite
from speckflex.report.record import (
    SCHEMA,
    Accuracies,
    AccuracyFacts,
    AccuracySpread,
    ComparisonFacts,
    CoreLoads,
    CoreWork,
    EnsembleFacts,
    EnsembleSpread,
    LayerComparison,
    Origins,
    PairAccuracies,
    PlayedSamples,
    ProgramFacts,
    ProgramSize,
    Report,
    SynopsLimit,
)
from speckflex.report.roles import role_names
from speckflex.report.verdict import verdict
from speckflex.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from speckflex.analysis.ensemble import Ensemble
    from speckflex.fitting.finding import Check
    from speckflex.program.program import Program
    from speckflex.recordings.compare import Accuracy, LayerDifference
    from speckflex.recordings.recording import Recording
    from speckflex.report.evidence import Evidence
    from speckflex.report.roles import Comparison

__all__ = ["build_report", "report_of"]

ROLES = ("torch", "twin", "chip")


def build_report(
    program: Program | None,
    recordings: Mapping[str, Recording],
    *,
    input_events: Sequence[np.ndarray] = (),
    checks: Sequence[Check] = (),
    synthetic: bool = False,
    command: str = "",
) -> Report:
    """Return the report on recordings of one program.

    Args:
        program: what ran; None where only recordings are at hand.
        recordings: by role: "torch", "twin", "chip", or names of the caller's own; "repeat" is
            a second run of the board, whose difference from the first is the noise floor.
        input_events: the streams that were played, of the first samples at least, `t` in µs.
        checks: what conversion found.
        synthetic: whether the samples are simulated.
        command: what the user typed.

    Raises:
        ComparisonError: there is no recording, or they can't be compared.
    """
    evidence = gather_evidence(program, recordings, input_events=input_events, checks=checks)
    return report_of(replace(evidence, synthetic=synthetic, command=command))


def report_of(evidence: Evidence) -> Report:
    """Return the report on the evidence."""
    first = evidence.headline
    difference = first and first.difference
    floor = difference and difference.noise_floor
    report = Report(
        schema=SCHEMA,
        speckflex=__version__,
        program=_program_facts(evidence),
        board=evidence.board.provenance.board,
        board_kind=evidence.board.provenance.kind,
        played=evidence.played,
        role_names=role_names(evidence.recordings),
        synthetic=evidence.synthetic,
        samples=evidence.board.n_samples,
        lost_events=sum(recording.lost_events for recording in evidence.recordings.values()),
        accuracies=_accuracies(evidence),
        reference=first and first.reference,
        compared=first and first.other,
        spike_difference=difference and finite(difference.spike_difference),
        spike_difference_layer=difference and difference.output.name,
        agreement=difference and difference.agreement,
        noise_floor=floor and finite(floor.spike_difference),
        layers=layer_facts(evidence),
        work=CoreWork(_synops_limit(evidence), find_work(evidence)),
        comparisons=tuple(_comparison_facts(pair) for pair in evidence.comparisons),
        checks=tuple(evidence.checks),
        origins=_origins(evidence),
        command=evidence.command,
        verdict="",
        run=evidence.run,
        loads=_loads(evidence),
        spread=_spread(evidence.ensemble),
        neurons=find_neurons(evidence),
        one_sample=find_one_sample(evidence),
    )
    return replace(report, verdict=verdict(report))


def _program_facts(evidence: Evidence) -> ProgramFacts:
    program = evidence.program
    if program is None:
        return ProgramFacts(evidence.board.provenance.program_sha256, None, None, {})
    size = ProgramSize(program.input.shape, len(program.cores))
    return ProgramFacts(program.sha256, program.chip, size, dict(program.metadata))


def _accuracies(evidence: Evidence) -> Accuracies:
    """Return how often each role is right, and how often it is silent; the known roles always."""
    recordings = evidence.recordings
    labels = next((r.labels for r in recordings.values() if r.labels is not None), None)
    found: dict[str, AccuracyFacts | None] = dict.fromkeys(ROLES)
    found |= {
        role: _accuracy_facts(measure_accuracy(recording, labels))
        for role, recording in recordings.items()
    }
    return Accuracies(
        accuracy={role: value and value.share for role, value in found.items()},
        accuracy_interval={role: value and value.interval for role, value in found.items()},
        accuracy_per_class={role: value and value.per_class for role, value in found.items()},
        confusion={role: value and value.confusion for role, value in found.items()},
        silent_outputs={role: _silent_outputs(r) for role, r in recordings.items()},
    )


def _accuracy_facts(accuracy: Accuracy | None) -> AccuracyFacts | None:
    if accuracy is None:
        return None
    return AccuracyFacts(
        accuracy.share,
        accuracy.interval,
        tuple(finite(float(share)) for share in accuracy.per_class),
        tuple(tuple(row) for row in accuracy.confusion.tolist()),
    )


def _silent_outputs(recording: Recording) -> int:
    """Return in how many samples the last layer scores no class, so that the lowest is taken."""
    return int((~recording.layer(-1).scores.any(axis=1)).sum())


def _comparison_facts(comparison: Comparison) -> ComparisonFacts:
    difference = comparison.difference
    first = difference.first_divergent_layer
    where = first and first.first_divergence
    return ComparisonFacts(
        reference=comparison.reference,
        other=comparison.other,
        samples=difference.n_samples,
        spike_difference=finite(difference.spike_difference),
        spike_difference_layer=difference.output.name,
        first_divergent_layer=first and first.name,
        agreement=difference.agreement,
        unlike_inputs=difference.unlike_inputs,
        accuracy=PairAccuracies(
            _accuracy_facts(difference.accuracy_a), _accuracy_facts(difference.accuracy_b)
        ),
        layers=tuple(_layer_comparison(layer) for layer in difference.layers),
        first_divergence=f"layer {first.name}, {where.describe(*comparison.names)}"
        if first and where
        else None,
    )


def _layer_comparison(layer: LayerDifference) -> LayerComparison:
    return LayerComparison(
        index=layer.index,
        name=layer.name,
        spikes_reference=layer.spikes_a,
        spikes_other=layer.spikes_b,
        spike_difference=finite(layer.spike_difference),
        reason=layer.reason,
        cosine=layer.cosine,
        potential_difference=finite(layer.potential_difference),
        first_divergence=layer.first_divergence,
        reordered_samples=layer.reordered_samples,
    )


def _origins(evidence: Evidence) -> Origins:
    """Return where each recording comes from, and what became of its samples."""
    recordings = evidence.recordings
    return Origins(
        provenance={role: r.provenance for role, r in recordings.items()},
        played_samples={role: _played_samples(r) for role, r in recordings.items()},
    )


def _played_samples(recording: Recording) -> PlayedSamples:
    logs = recording.samples
    return PlayedSamples(
        samples=recording.n_samples,
        written=sum(log.written for log in logs),
        accepted=sum(log.accepted for log in logs),
        read=sum(log.read for log in logs),
        lost=recording.lost_events,
        stopped=dict(Counter(log.stopped for log in logs)),
    )


def _synops_limit(evidence: Evidence) -> SynopsLimit:
    chip = find_chip(DEFAULT_CHIP if evidence.program is None else evidence.program.chip)
    return SynopsLimit(WINDOW, chip.synops_per_second, "unverified: one thesis on a Speck2f")


def _loads(evidence: Evidence) -> CoreLoads | None:
    if not evidence.loads:
        return None
    return CoreLoads(tuple(evidence.loads), len(evidence.input_events))


def _spread(ensemble: Ensemble | None) -> EnsembleSpread | None:
    if ensemble is None:
        return None
    shares = ensemble.accuracies()
    facts = EnsembleFacts(
        plays=len(ensemble.plays),
        seed=ensemble.seed,
        perturbation=ensemble.perturbation,
        layers=tuple(ensemble.spread(record.index) for record in ensemble.unperturbed.layers),
        accuracy=None
        if shares is None
        else AccuracySpread(float(shares.mean()), float(shares.min()), float(shares.max())),
        samples=ensemble.unperturbed.n_samples,
    )
    return EnsembleSpread(facts)
