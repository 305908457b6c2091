"""From what was played to the report on it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from speckflex._support.text import printable
from speckflex.data.dataset import UNKNOWN
from speckflex.deployment._players import AT_RATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.deployment._outlook import Outlook
    from speckflex.deployment._players import Played
    from speckflex.fitting.checks import Check
    from speckflex.program.program import Program
    from speckflex.recordings.recording import Provenance, Recording
    from speckflex.report.bars import Bars
    from speckflex.report.facts import RunFacts
    from speckflex.report.record import Report

__all__ = ["Background", "report_on"]


@dataclass(frozen=True, eq=False)
class Background:
    """What a report says besides what was played.

    Args:
        program: what the board played.
        checks: findings of the conversion.
        run: how the deployment ran.
        synthetic: whether the samples are simulated.
        command: what the user typed, "" where it was called from Python.
        rate: synaptic operations per second of a core, as `DeploySettings.rate`.
        bars: what the report has to reach.
    """

    program: Program
    checks: Sequence[Check]
    run: RunFacts
    synthetic: bool
    command: str
    rate: float | None
    bars: Bars


def report_on(
    played: Played, background: Background, outlook: Outlook, run_id: str
) -> tuple[Report, dict[str, Recording]]:
    """Return the report on what was played, and the recordings of the first samples by role.

    Args:
        played: everything that was played, or that is there of it.
        background: the rest of the report.
        outlook: load, ensemble and effects, as far as they were measured.
        run_id: the identifier of the run, which the recordings get too.
    """
    # imported here, since the command prints the name of the board before it waits for imports
    from speckflex.report.build import report_of
    from speckflex.report.evidence import evidence_of

    run = background.run
    changes = run.data.changes
    tallies = {
        name: replace(tally, provenance=_with_origin(tally.provenance, changes, run_id))
        for name, tally in played.tallies.items()
    }
    recordings = {
        name: replace(one, provenance=_with_origin(one.provenance, changes, run_id))
        for name, one in played.recordings().items()
    }
    at_rate, at_rate_first = tallies.pop(AT_RATE, None), recordings.pop(AT_RATE, None)
    evidence = evidence_of(
        background.program, recordings, tallies, played.compared, synops=played.synops
    )
    evidence = replace(
        evidence,
        input_events=played.events,
        checks=background.checks,
        synthetic=background.synthetic,
        command=printable(background.command),
        run=replace(
            run,
            data=replace(run.data, sha256=_hash_of_data(played)),
            interrupted=outlook.interrupted,
        ),
        loads=outlook.loads,
        at_rate=at_rate,
        at_rate_first=at_rate_first,
        rate=background.rate,
        opened=played.opened,
        ensemble=outlook.ensemble,
        effects=outlook.effects,
        bars=background.bars,
        readings=played.readings.by_role,
        steps=played.readings.steps,
        unread=played.readings.problem,
    )
    return report_of(evidence), recordings


def _hash_of_data(played: Played) -> str:
    """Return the hash of all recordings and labels, as `DataFacts` states it."""
    labels = next(iter(played.tallies.values())).labels
    known = np.full(played.n_samples, UNKNOWN) if labels is None else np.maximum(labels, UNKNOWN)
    digest = hashlib.sha256(played.inputs.tobytes())
    digest.update(known.astype("<i8").tobytes())
    return digest.hexdigest()


def _with_origin(provenance: Provenance, changes: Sequence[str], run_id: str) -> Provenance:
    """Return a provenance that says its run, and what was done to its input."""
    settings = {**provenance.settings, "run": run_id}
    if changes:
        settings["input"] = "; ".join(changes)
    return replace(provenance, settings=settings)
