"""The facts of a report, as one dictionary that every rendering reads."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from speckflex.compare import Accuracy, compare, measure_accuracy
from speckflex.errors import ComparisonError
from speckflex.report.figures import collect_figures
from speckflex.report.layers import layer_rows
from speckflex.report.roles import Comparison, compare_roles, played_role, role_names
from speckflex.report.strict import strict
from speckflex.report.verdict import verdict
from speckflex.speck import SYNOPS_PER_SECOND
from speckflex.synops import WINDOW, measure_synops
from speckflex.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from speckflex.divergence import Divergence
    from speckflex.finding import Check
    from speckflex.program import Program
    from speckflex.recording import Recording

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
    if not recordings:
        raise ComparisonError("no recording to report on: play the program on a board first")
    _check_program(program, recordings)
    repeat, recordings = recordings.get("repeat"), _without_repeat(recordings)
    played = played_role(recordings)
    board = recordings[played]
    noise_floor = None if repeat is None else compare(board, repeat)
    comparisons = compare_roles(
        recordings, noise_floor=noise_floor, same_program=program is not None
    )
    synops = () if program is None else measure_synops(program, board, input_events)
    report = {
        "schema": SCHEMA,
        "speckflex": __version__,
        "program": _program_facts(program, board),
        "board": board.provenance.board,
        "board_kind": board.provenance.kind,
        "played": played,
        "role_names": role_names(recordings),
        "synthetic": synthetic,
        "samples": board.n_samples,
        "lost_events": sum(recording.lost_events for recording in recordings.values()),
        **_accuracies(recordings),
        "silent_outputs": {role: _silent_outputs(r) for role, r in recordings.items()},
        **_headline(comparisons),
        "layers": _with_weight_errors(
            layer_rows(program, recordings, comparisons, synops, played), checks or ()
        ),
        "synops": _synops_facts(),
        "comparisons": [_comparison_facts(comparison) for comparison in comparisons],
        "checks": [check.to_dict() for check in checks or ()],
        "provenance": {role: asdict(r.provenance) for role, r in recordings.items()},
        "played_samples": {role: _sample_facts(r) for role, r in recordings.items()},
        "command": command,
    }
    report["verdict"] = verdict(report)
    report = strict(report)
    report["figures"] = collect_figures(program, recordings, comparisons, input_events, synops)
    return report


def _check_program(program: Program | None, recordings: Mapping[str, Recording]) -> None:
    for role, recording in recordings.items():
        ran = recording.provenance.program_sha256
        if program is not None and ran not in ("", program.sha256):
            raise ComparisonError(
                f"{role} is a recording of program {ran[:12]}, the program given is"
                f" {program.sha256[:12]}: give the program that ran"
            )


def _with_weight_errors(
    rows: list[dict[str, Any]], checks: Sequence[Check]
) -> list[dict[str, Any]]:
    """Add each layer's relative 8-bit error, None where conversion did not measure it."""
    errors = {check.layer: check.value for check in checks if check.rule == "8-bit error"}
    return [{**row, "weight_error": errors.get(row["name"])} for row in rows]


def _without_repeat(recordings: Mapping[str, Recording]) -> dict[str, Recording]:
    return {role: r for role, r in recordings.items() if role != "repeat" or len(recordings) == 1}


def _program_facts(program: Program | None, board: Recording) -> dict[str, Any]:
    if program is None:
        return {"sha256": board.provenance.program_sha256, "chip": None, "metadata": {}}
    return {
        "sha256": program.sha256,
        "chip": program.chip,
        "input_shape": program.input.shape,
        "cores": len(program.cores),
        "metadata": dict(program.metadata),
    }


def _accuracies(recordings: Mapping[str, Recording]) -> dict[str, Any]:
    """Return accuracy, interval and confusion by role; the three known roles always."""
    roles = dict.fromkeys([*(role for role in ROLES if role in recordings), *recordings])
    labels = next((r.labels for r in recordings.values() if r.labels is not None), None)
    found: dict[str, Accuracy | None] = dict.fromkeys(ROLES)
    found |= {role: measure_accuracy(recordings[role], labels) for role in roles}
    return {
        "accuracy": {role: value and value.share for role, value in found.items()},
        "accuracy_interval": {role: value and value.interval for role, value in found.items()},
        "accuracy_per_class": {
            role: None if value is None else value.per_class for role, value in found.items()
        },
        "confusion": {
            role: None if value is None else value.confusion for role, value in found.items()
        },
    }


def _silent_outputs(recording: Recording) -> int:
    """Return in how many samples the last layer scores no class, so that the lowest is taken."""
    return int((~recording.layer(-1).scores.any(axis=1)).sum())


def _headline(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    difference = comparisons[0].difference if comparisons else None
    return {
        "reference": comparisons[0].reference if comparisons else None,
        "compared": comparisons[0].other if comparisons else None,
        "spike_difference": difference and difference.spike_difference,
        "spike_difference_layer": difference and difference.output.name,
        "agreement": difference and difference.agreement,
        "noise_floor": difference
        and difference.noise_floor
        and difference.noise_floor.spike_difference,
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


def _sample_facts(recording: Recording) -> dict[str, Any]:
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


def _synops_facts() -> dict[str, Any]:
    return {
        "window_us": WINDOW,
        "limit_per_second": SYNOPS_PER_SECOND,
        "limit_source": "unverified: one thesis on a Speck2f",
    }
