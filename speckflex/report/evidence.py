"""The evidence of a report: recordings, their differences, and the work of the cores."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from speckflex.analysis.synops import measure_known_synops
from speckflex.errors import ComparisonError
from speckflex.recordings.compare import compare_part, difference_of
from speckflex.recordings.tally import tally_of
from speckflex.report._roles import (
    compare_roles,
    compared_roles,
    ladder_pairs,
    ladder_roles,
    pairs_of,
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
    from speckflex.recordings.compare import ComparedPart, Difference
    from speckflex.recordings.recording import LayerRecord, Recording
    from speckflex.recordings.tally import Tally
    from speckflex.report._roles import Comparison
    from speckflex.report.facts import EnsembleFacts, LayerEffect, RunFacts

__all__ = ["Evidence", "PlayedSample", "compare_pairs", "evidence_of", "gather_evidence"]


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
        recordings: the first samples by role, with their spikes: of the recordings that are
            compared with each other, without the second run of the board and the steps between
            torch and the board.
        tallies: all samples of the same recordings, in sums.
        input_events: the streams that were played, at least those of the first samples, `t` in µs.
        checks: findings of the conversion.
        comparisons: the comparisons of all pairs, the main comparison first.
        synops: synaptic operations of each core of the program; empty without a program.
        ladder: the tallies by step, from the trained network to the board.
        rungs: how far the layers of each step but the first differ from those of the step before.
        synthetic: whether the samples are simulated.
        command: what the user typed.
        run: how a deployment ran; None for a comparison of recordings.
        loads: whether each core keeps up with `input_events`; empty if it was not measured.
        ensemble: plays of the first samples with small changes, with labels; None if there are
            none.
        bars: what the report has to reach.
        repeat: how far the second run of the board differs from the first; None if it ran once.
        at_rate: the twin at a stated rate, its input lost where a core has no room; None if it
            was not played so. `at_rate_first` has its first samples.
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
    tallies: Mapping[str, Tally]
    input_events: Sequence[np.ndarray]
    checks: Sequence[Check]
    comparisons: Sequence[Comparison]
    synops: Sequence[LayerSynops]
    ladder: Mapping[str, Tally]
    rungs: Mapping[str, ComparedPart]
    synthetic: bool = False
    command: str = ""
    run: RunFacts | None = None
    loads: Sequence[LayerLoad] = ()
    ensemble: Ensemble | EnsembleFacts | None = None
    bars: Bars = field(default_factory=Bars)
    repeat: Difference | None = None
    at_rate: Tally | None = None
    at_rate_first: Recording | None = None
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
        """The board's recording, its first samples."""
        return self.recordings[self.played]

    @property
    def board_tally(self) -> Tally:
        """All samples of the board, in sums."""
        return self.tallies[self.played]

    @property
    def labels(self) -> np.ndarray | None:
        """(sample,) int64 class of each sample, negative for an unknown one; None without any."""
        return next((one.labels for one in self.tallies.values() if one.labels is not None), None)

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
    if synops is None:
        board = recordings[played_role(compared_roles(recordings))]
        synops = () if program is None else measure_known_synops(program, board, input_events)
    evidence = evidence_of(
        program,
        recordings,
        {role: tally_of(recording) for role, recording in recordings.items()},
        compare_pairs(recordings, same_program=program is not None),
        synops=synops,
    )
    return replace(evidence, input_events=input_events, checks=checks)


def evidence_of(
    program: Program | None,
    recordings: Mapping[str, Recording],
    tallies: Mapping[str, Tally],
    compared: Mapping[tuple[str, str], ComparedPart],
    *,
    synops: Sequence[LayerSynops],
) -> Evidence:
    """Return the evidence of recordings that were tallied and compared, in parts or as a whole.

    Args:
        program: as in `Evidence`.
        recordings: the first samples by role, "repeat", "folded" and "eight-bit" among them.
        tallies: all samples of each of them, in sums.
        compared: what `compare_pairs` returns for them.
        synops: as in `Evidence`.
    """
    roles = compared_roles(recordings)
    board = played_role(roles)
    plays = compared.get((board, "repeat"))
    repeat = plays and difference_of(plays, tallies[board], tallies["repeat"])
    steps = _steps(tallies)
    return Evidence(
        program=program,
        recordings={role: recordings[role] for role in roles},
        tallies={role: tallies[role] for role in roles},
        input_events=(),
        checks=(),
        comparisons=compare_roles(
            {role: tallies[role] for role in roles}, compared, noise_floor=repeat
        ),
        synops=synops,
        ladder={step: tallies[role] for step, role in steps.items()},
        rungs={step: compared[pair] for step, pair in ladder_pairs(steps).items()},
        repeat=repeat,
    )


def compare_pairs(
    recordings: Mapping[str, Recording], *, same_program: bool = True
) -> dict[tuple[str, str], ComparedPart]:
    """Return how far the recordings of each pair that a report is about differ.

    Args:
        recordings: by role, all samples or a part of them.
        same_program: refuse recordings of different programs.

    Raises:
        ComparisonError: a pair can't be compared.
    """
    roles = compared_roles(recordings)
    board = played_role(roles)
    whole = pairs_of(roles)
    if "repeat" in recordings and board != "repeat":
        whole.append((board, "repeat"))
    found = {
        (a, b): compare_part(recordings[a], recordings[b], same_program=same_program)
        for a, b in whole
    }
    for a, b in ladder_pairs(_steps(recordings)).values():
        if (a, b) not in found:
            # of the steps between torch and the board, the output alone is compared
            pair = (_output_of(recordings[one]) for one in (a, b))
            found[a, b] = compare_part(*pair, same_program=same_program)
    return found


def _output_of(recording: Recording) -> Recording:
    """Return the counts of the last layer that is read by its spikes; of the last if none is."""
    spiking = [record for record in recording.layers if record.potentials is None]
    output = (spiking or recording.layers)[-1]
    return replace(recording, layers=(replace(output, events=None, potentials=None),))


def _steps(recordings: Mapping[str, Recording | Tally]) -> dict[str, str]:
    torch = recordings.get("torch")
    step = torch.provenance.settings.get("step", "trained") if torch else "trained"
    return ladder_roles(recordings, step)


def _check_program(program: Program | None, recordings: Mapping[str, Recording]) -> None:
    for role, recording in recordings.items():
        ran = recording.provenance.program_sha256
        if program is not None and ran not in ("", program.sha256):
            raise ComparisonError(
                f"{role} is a recording of program {ran[:12]}, the program given is"
                f" {program.sha256[:12]}: give the program that ran"
            )
