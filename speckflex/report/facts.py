"""The facts of a report, as one dictionary that every rendering reads."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from speckflex.analysis.synops import WINDOW
from speckflex.chips import DEFAULT_CHIP, find_chip
from speckflex.recordings.compare import Accuracy, measure_accuracy
from speckflex.report.charts.figures import collect_figures
from speckflex.report.evidence import Evidence, gather_evidence
from speckflex.report.layers import layer_rows
from speckflex.report.roles import Comparison, role_names
from speckflex.report.strict import strict
from speckflex.report.verdict import verdict
from speckflex.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from speckflex.fitting.finding import Check
    from speckflex.program.program import Program
    from speckflex.recordings.divergence import Divergence
    from speckflex.recordings.recording import Recording

__all__ = ["SCHEMA", "build_report"]

SCHEMA = 1
ROLES = ("torch", "twin", "chip")


def build_report(
    program: Program | None,
    recordings: Mapping[str, Recording],
    *,
    input_events: Sequence[np.ndarray] = (),
    checks: Sequence[Check] | None = None,
    synthetic: bool = False,
    command: str = "",
) -> dict[str, Any]:
    """Return the content of `report.json`, with the data of the page's pictures in "figures".

    Args:
        program: what ran; None where only recordings are at hand.
        recordings: by role: "torch", "twin", "chip", or names of the caller's own; "repeat" is
            a second run of the board, whose difference from the first is the noise floor.
        input_events: the streams that were played, of the first samples at least, `t` in µs.
        checks: what conversion found.
        synthetic: whether the samples were made up.
        command: what the user typed.

    Raises:
        ComparisonError: there is no recording, or they can't be compared.
    """
    evidence = gather_evidence(program, recordings, input_events=input_events, checks=checks or ())
    facts = {
        "schema": SCHEMA,
        "speckflex": __version__,
        "program": _program_facts(evidence),
        **_board_facts(evidence),
        "synthetic": synthetic,
        **_sample_facts(evidence),
        **_predictions(evidence),
        **_headline(evidence),
        "layers": layer_rows(evidence),
        "synops": _synops_facts(evidence),
        "comparisons": [_comparison_facts(comparison) for comparison in evidence.comparisons],
        "checks": [check.to_dict() for check in evidence.checks],
        **_origins(evidence),
        "command": command,
    }
    return {**strict({**facts, "verdict": verdict(facts)}), "figures": collect_figures(evidence)}


def _program_facts(evidence: Evidence) -> dict[str, Any]:
    program = evidence.program
    if program is None:
        played = evidence.board.provenance.program_sha256
        return {"sha256": played, "chip": None, "metadata": {}}
    return {
        "sha256": program.sha256,
        "chip": program.chip,
        "input_shape": program.input.shape,
        "cores": len(program.cores),
        "metadata": dict(program.metadata),
    }


def _board_facts(evidence: Evidence) -> dict[str, Any]:
    return {
        "board": evidence.board.provenance.board,
        "board_kind": evidence.board.provenance.kind,
        "played": evidence.played,
        "role_names": role_names(evidence.recordings),
    }


def _sample_facts(evidence: Evidence) -> dict[str, Any]:
    return {
        "samples": evidence.board.n_samples,
        "lost_events": sum(recording.lost_events for recording in evidence.recordings.values()),
    }


def _predictions(evidence: Evidence) -> dict[str, Any]:
    """Return how often each role is right, and how often it is silent; the known roles always."""
    recordings = evidence.recordings
    labels = next((r.labels for r in recordings.values() if r.labels is not None), None)
    found: dict[str, Accuracy | None] = dict.fromkeys(ROLES)
    found |= {role: measure_accuracy(recording, labels) for role, recording in recordings.items()}
    return {
        "accuracy": {role: value and value.share for role, value in found.items()},
        "accuracy_interval": {role: value and value.interval for role, value in found.items()},
        "accuracy_per_class": {role: value and value.per_class for role, value in found.items()},
        "confusion": {role: value and value.confusion for role, value in found.items()},
        "silent_outputs": {role: _silent_outputs(r) for role, r in recordings.items()},
    }


def _silent_outputs(recording: Recording) -> int:
    """Return in how many samples the last layer scores no class, so that the lowest is taken."""
    return int((~recording.layer(-1).scores.any(axis=1)).sum())


def _headline(evidence: Evidence) -> dict[str, Any]:
    """Return what the report is about: two roles, and how far they are apart at the output."""
    first = evidence.headline
    difference = first and first.difference
    floor = difference and difference.noise_floor
    return {
        "reference": first and first.reference,
        "compared": first and first.other,
        "spike_difference": difference and difference.spike_difference,
        "spike_difference_layer": difference and difference.output.name,
        "agreement": difference and difference.agreement,
        "noise_floor": floor and floor.spike_difference,
    }


def _comparison_facts(comparison: Comparison) -> dict[str, Any]:
    difference = comparison.difference
    first = difference.first_divergent_layer
    facts = difference.to_dict()
    del facts["noise_floor"]  # stands with the layers
    for layer in facts["layers"]:
        # One number a sample and layer is too much for a report; the recordings still tell.
        del layer["per_sample"]
    return {
        "reference": comparison.reference,
        "other": comparison.other,
        **facts,
        "first_divergence": _spelled(first.name, first.first_divergence, comparison)
        if first is not None
        else None,
    }


def _spelled(name: str, divergence: Divergence | None, comparison: Comparison) -> str | None:
    if divergence is None:
        return None
    return f"layer {name}, {divergence.describe(*comparison.names)}"


def _origins(evidence: Evidence) -> dict[str, Any]:
    """Return where each recording comes from, and what became of its samples."""
    recordings = evidence.recordings
    return {
        "provenance": {role: asdict(r.provenance) for role, r in recordings.items()},
        "played_samples": {role: _played_facts(r) for role, r in recordings.items()},
    }


def _played_facts(recording: Recording) -> dict[str, Any]:
    stopped: dict[str, int] = {}
    for log in recording.samples:
        stopped[log.stopped] = stopped.get(log.stopped, 0) + 1
    return {
        "samples": recording.n_samples,
        "written": sum(log.written for log in recording.samples),
        "accepted": sum(log.accepted for log in recording.samples),
        "read": sum(log.read for log in recording.samples),
        "lost": recording.lost_events,
        "stopped": stopped,
    }


def _synops_facts(evidence: Evidence) -> dict[str, Any]:
    chip = DEFAULT_CHIP if evidence.program is None else evidence.program.chip
    return {
        "window_us": WINDOW,
        "limit_per_second": find_chip(chip).synops_per_second,
        "limit_source": "unverified: one thesis on a Speck2f",
    }
