"""What a report draws on: the recordings, how far they are apart, and the work they made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from speckflex.analysis.synops import measure_synops
from speckflex.errors import ComparisonError
from speckflex.recordings.compare import compare
from speckflex.report._roles import compare_roles, played_role

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from speckflex.analysis.core_load import LayerLoad
    from speckflex.analysis.ensemble import Ensemble
    from speckflex.analysis.synops import LayerSynops
    from speckflex.fitting.checks import Check
    from speckflex.program.program import Program
    from speckflex.recordings.recording import LayerRecord, Recording
    from speckflex.report._roles import Comparison
    from speckflex.report.facts import RunFacts

__all__ = ["Evidence", "gather_evidence"]


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that the parts of a report are worked out from.

    Args:
        program: what ran; None where only recordings are at hand.
        recordings: by role, without the board's second run.
        input_events: the streams that were played, of the first samples at least, `t` in µs.
        checks: what conversion found.
        comparisons: of every two recordings, the one that the report is about first.
        synops: one per core of the program, or none.
        synthetic: whether the samples are simulated.
        command: what the user typed.
        run: how a deployment ran; None for a comparison of recordings.
        loads: whether each core keeps up with `input_events`; none where it was not measured.
        ensemble: changed plays of the first samples, with labels; None where there are none.
    """

    program: Program | None
    recordings: Mapping[str, Recording]
    input_events: Sequence[np.ndarray]
    checks: Sequence[Check]
    comparisons: Sequence[Comparison]
    synops: Sequence[LayerSynops]
    synthetic: bool = False
    command: str = ""
    run: RunFacts | None = None
    loads: Sequence[LayerLoad] = ()
    ensemble: Ensemble | None = None

    @property
    def played(self) -> str:
        """The role whose recording stands for the board's."""
        return played_role(self.recordings)

    @property
    def board(self) -> Recording:
        """The recording that stands for the board's."""
        return self.recordings[self.played]

    @property
    def headline(self) -> Comparison | None:
        """The comparison that the report is about; None where there is a single recording."""
        return self.comparisons[0] if self.comparisons else None

    @property
    def layer_names(self) -> dict[int, str]:
        """The name of each layer that any recording or the program knows, by position."""
        records = [record for r in self.recordings.values() for record in r.layers]
        names = {record.index: record.name for record in records}
        cores = () if self.program is None else self.program.cores
        return dict(sorted((names | {i: core.name for i, core in enumerate(cores)}).items()))

    def records(self, index: int) -> dict[str, LayerRecord]:
        """Return the records of the layer at `index`, by the role of those who monitored it."""
        return {
            role: record
            for role, recording in self.recordings.items()
            for record in recording.layers
            if record.index == index
        }


def gather_evidence(
    program: Program | None,
    recordings: Mapping[str, Recording],
    *,
    input_events: Sequence[np.ndarray] = (),
    checks: Sequence[Check] = (),
) -> Evidence:
    """Compare the recordings with each other and measure the work of the board's.

    Args:
        program: as in `Evidence`.
        recordings: by role; "repeat" is a second run of the board, whose difference from the
            first is the noise floor.
        input_events: as in `Evidence`.
        checks: as in `Evidence`.

    Raises:
        ComparisonError: there is no recording, or they can't be compared.
    """
    if not recordings:
        raise ComparisonError("no recording to report on: play the program on a board first")
    _check_program(program, recordings)
    repeat, recordings = recordings.get("repeat"), _without_repeat(recordings)
    board = recordings[played_role(recordings)]
    comparisons = compare_roles(
        recordings,
        noise_floor=None if repeat is None else compare(board, repeat),
        same_program=program is not None,
    )
    synops = () if program is None else measure_synops(program, board, input_events)
    return Evidence(program, recordings, input_events, checks, comparisons, synops)


def _check_program(program: Program | None, recordings: Mapping[str, Recording]) -> None:
    for role, recording in recordings.items():
        ran = recording.provenance.program_sha256
        if program is not None and ran not in ("", program.sha256):
            raise ComparisonError(
                f"{role} is a recording of program {ran[:12]}, the program given is"
                f" {program.sha256[:12]}: give the program that ran"
            )


def _without_repeat(recordings: Mapping[str, Recording]) -> dict[str, Recording]:
    return {role: r for role, r in recordings.items() if role != "repeat" or len(recordings) == 1}
