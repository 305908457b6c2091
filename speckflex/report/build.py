"""From recordings to the record of a report."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from speckflex.report._layers import layer_facts
from speckflex.report._parts import entries, finite
from speckflex.report._roles import role_names
from speckflex.report._section import Section
from speckflex.report._verdict import verdict
from speckflex.report.evidence import gather_evidence
from speckflex.report.facts import (
    SCHEMA,
    AccuracyFacts,
    ComparisonFacts,
    Facts,
    LayerComparison,
    PairAccuracies,
    ProgramFacts,
    ProgramSize,
)
from speckflex.report.record import Report
from speckflex.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from speckflex.fitting.checks import Check
    from speckflex.program.program import Program
    from speckflex.recordings.compare import LayerDifference
    from speckflex.recordings.recording import Recording
    from speckflex.recordings.tally import Tally
    from speckflex.report._roles import Comparison
    from speckflex.report.evidence import Evidence

__all__ = ["assemble", "build_report", "report_of"]

SomeReport = TypeVar("SomeReport", bound=Report)


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
        program: the program that ran; None if only recordings are at hand.
        recordings: the recordings by role: "torch", "twin", "chip", or names of your own;
            "repeat" is a second run of the board, and its difference from the first run is the
            noise floor.
        input_events: the streams that were played, at least those of the first samples, `t` in µs.
        checks: findings of the conversion.
        synthetic: whether the samples are simulated.
        command: what the user typed.

    Raises:
        ComparisonError: there is no recording, or they can't be compared.
    """
    evidence = gather_evidence(program, recordings, input_events=input_events, checks=checks)
    return report_of(replace(evidence, synthetic=synthetic, command=command))


def report_of(evidence: Evidence) -> Report:
    """Return the report on the evidence."""
    return assemble(evidence, Report)


def assemble(evidence: Evidence, kind: type[SomeReport]) -> SomeReport:
    """Return the report of a kind: the facts that sections share, and each of its sections."""
    sections: Any = {
        entry.name: entry.spread.collect(evidence)
        for entry in entries(kind)
        if entry.spread is not None and issubclass(entry.spread, Section)
    }
    report = kind(**vars(_facts(evidence)), **sections, verdict="")
    missed = evidence.bars.missed(report)
    report = replace(report, passed=not missed, missed=missed)
    return replace(report, verdict=verdict(report))


def _facts(evidence: Evidence) -> Facts:
    first = evidence.headline
    difference = first and first.difference
    floor = difference and difference.noise_floor
    return Facts(
        schema=SCHEMA,
        speckflex=__version__,
        program=_program_facts(evidence),
        board=evidence.board_tally.provenance.board,
        board_kind=evidence.board_tally.provenance.kind,
        played=evidence.played,
        role_names=role_names(evidence.tallies),
        synthetic=evidence.synthetic,
        samples=evidence.board_tally.n_samples,
        lost_events=sum(tally.lost_events for tally in evidence.tallies.values()),
        reference=first and first.reference,
        compared=first and first.other,
        spike_difference=difference and finite(difference.spike_difference),
        spike_difference_layer=difference and difference.output.name,
        spike_ratio=difference and difference.output.spike_ratio,
        silent_layers=_silent_layers(evidence.board_tally),
        agreement=difference and difference.agreement,
        noise_floor=floor and finite(floor.spike_difference),
        layers=layer_facts(evidence),
        comparisons=tuple(_comparison_facts(pair) for pair in evidence.comparisons),
        checks=tuple(evidence.checks),
        command=evidence.command,
        bars=evidence.bars,
        run=evidence.run,
    )


def _program_facts(evidence: Evidence) -> ProgramFacts:
    program = evidence.program
    if program is None:
        return ProgramFacts(evidence.board_tally.provenance.program_sha256, None, None, {})
    size = ProgramSize(program.input.shape, len(program.cores))
    return ProgramFacts(program.sha256, program.chip, size, dict(program.metadata))


def _silent_layers(board: Tally) -> tuple[str, ...]:
    """Return the layers without a spike in any sample, but for those read by their potentials."""
    return tuple(one.name for one in board.layers if not (one.by_potential or one.spikes.any()))


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
            AccuracyFacts.of(difference.accuracy_a), AccuracyFacts.of(difference.accuracy_b)
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
        spike_ratio=layer.spike_ratio,
        spike_difference=finite(layer.spike_difference),
        reason=layer.reason,
        cosine=layer.cosine,
        potential_difference=finite(layer.potential_difference),
        first_divergence=layer.first_divergence,
        reordered_samples=layer.reordered_samples,
    )
