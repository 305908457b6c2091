"""The evidence of a report: recordings, their differences, and the work of the cores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from speckflex.analysis.synops import measure_known_synops
from speckflex.errors import ComparisonError
from speckflex.recordings.compare import compare
from speckflex.report._roles import (
    BETWEEN,
    PLAYED_ORDER,
    STEPS,
    compare_roles,
    played_role,
)
from speckflex.report.bars import Bars

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from speckflex.analysis.core_load import LayerLoad
    from speckflex.analysis.ensemble import Ensemble
    from speckflex.analysis.readings import Reading
    from speckflex.analysis.synops import LayerSynops
    from speckflex.fitting.checks import Check
    from speckflex.program.program import Program
    from speckflex.recordings.recording import LayerRecord, Recording
    from speckflex.report._roles import Comparison
    from speckflex.report.facts import LayerEffect, RunFacts

__all__ = ["Evidence", "PlayedSample", "gather_evidence"]


@dataclass(frozen=True, eq=False)
class PlayedSample:
    """Everything of one sample.

    Args:
        events: its input, `t` in µs.
        recordings: one of this sample alone by role, with its spikes.
    """

    events: np.ndarray
    recordings: Mapping[str, Recording]


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything that the facts of a report are computed from.

    Args:
        program: the program that ran; None if only recordings are at hand.
        recordings: the recordings by role that are compared with each other: without the second
            run of the board and the steps between torch and the board.
        input_events: the streams that were played, at least those of the first samples, `t` in µs.
        checks: findings of the conversion.
        comparisons: the comparisons of all pairs, the main comparison first.
        synops: synaptic operations of each core of the program; empty without a program.
        ladder: the recordings by step, from the trained network to the board.
        synthetic: whether the samples are simulated.
        command: what the user typed.
        run: how a deployment ran; None for a comparison of recordings.
        loads: whether each core keeps up with `input_events`; empty if it was not measured.
        ensemble: plays of the first samples with small changes, with labels; None if there are
            none.
        bars: what the report has to reach.
        repeat: the second run of the board; None if it ran once.
        at_rate: the twin at a stated rate, its input lost where a core has no room; None if it
            was not played so.
        rate: that rate, synaptic operations per second of a core.
        opened: samples whose answers differ, by their position, beyond those whose spikes are all
            kept.
        effects: what each layer costs alone; empty if it was not measured.
        readings: the output of each sample over time, by the role of a board; empty if it was not
            asked for.
        steps: (sample, time, class) output of torch in time steps, in parts; empty if it was not
            asked for.
        unread: why the output could not be read over time, "" where it could or was not asked for.
    """

    program: Program | None
    recordings: Mapping[str, Recording]
    input_events: Sequence[np.ndarray]
    checks: Sequence[Check]
    comparisons: Sequence[Comparison]
    synops: Sequence[LayerSynops]
    ladder: Mapping[str, Recording]
    synthetic: bool = False
    command: str = ""
    run: RunFacts | None = None
    loads: Sequence[LayerLoad] = ()
    ensemble: Ensemble | None = None
    bars: Bars = field(default_factory=Bars)
    repeat: Recording | None = None
    at_rate: Recording | None = None
    rate: float | None = None
    opened: Mapping[int, PlayedSample] = field(default_factory=dict)
    effects: Sequence[LayerEffect] = ()
    readings: Mapping[str, Sequence[Reading]] = field(default_factory=dict)
    steps: Sequence[np.ndarray] = ()
    unread: str = ""

    @property
    def played(self) -> str:
        """The role of the board's recording."""
        return played_role(self.recordings)

    @property
    def board(self) -> Recording:
        """The board's recording."""
        return self.recordings[self.played]

    @property
    def headline(self) -> Comparison | None:
        """The main comparison; None if there is only one recording."""
        return self.comparisons[0] if self.comparisons else None

    @property
    def layer_names(self) -> dict[int, str]:
        """The names of the layers of the recordings and the program, by position."""
        records = [record for r in self.recordings.values() for record in r.layers]
        names = {record.index: record.name for record in records}
        cores = () if self.program is None else self.program.cores
        return dict(sorted((names | {i: core.name for i, core in enumerate(cores)}).items()))

    def records(self, index: int) -> dict[str, LayerRecord]:
        """Return the records of the layer at `index`, by role."""
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
    synops: Sequence[LayerSynops] | None = None,
) -> Evidence:
    """Compare the recordings and measure the work of the cores.

    Args:
        program: as in `Evidence`.
        recordings: the recordings by role; "repeat" is a second run of the board, and its
            difference from the first run is the noise floor; "folded" and "eight-bit" are steps
            between "torch" and the board.
        input_events: as in `Evidence`.
        checks: as in `Evidence`.
        synops: as in `Evidence`; None to measure the first samples, whose events are at hand.

    Raises:
        ComparisonError: there is no recording, or they can't be compared.
    """
    if not recordings:
        raise ComparisonError(
            "there is no recording to report on: play the program on a board first"
        )
    _check_program(program, recordings)
    repeat, ladder = recordings.get("repeat"), _ladder(recordings)
    recordings = _compared(recordings)
    board = recordings[played_role(recordings)]
    comparisons = compare_roles(
        recordings,
        noise_floor=None if repeat is None else compare(board, repeat),
        same_program=program is not None,
    )
    if synops is None:
        synops = () if program is None else measure_known_synops(program, board, input_events)
    return Evidence(
        program, recordings, input_events, checks, comparisons, synops, ladder, repeat=repeat
    )


def _check_program(program: Program | None, recordings: Mapping[str, Recording]) -> None:
    for role, recording in recordings.items():
        ran = recording.provenance.program_sha256
        if program is not None and ran not in ("", program.sha256):
            raise ComparisonError(
                f"{role} is a recording of program {ran[:12]}, the program given is"
                f" {program.sha256[:12]}: give the program that ran"
            )


def _compared(recordings: Mapping[str, Recording]) -> dict[str, Recording]:
    """Return the recordings that are compared with each other; a single one in any role."""
    aside = ("repeat", *BETWEEN)
    return {role: r for role, r in recordings.items() if role not in aside} or dict(recordings)


def _ladder(recordings: Mapping[str, Recording]) -> dict[str, Recording]:
    """Return the recordings of the ladder's steps, in their order."""
    found = {role: recordings[role] for role in (*BETWEEN, *PLAYED_ORDER) if role in recordings}
    torch = recordings.get("torch")
    if torch is not None:
        # a recording of torch alone may be one of the later steps
        found.setdefault(torch.provenance.settings.get("step", "trained"), torch)
    return {step: found[step] for step in STEPS if step in found}
