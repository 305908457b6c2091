"""All experiments on one board, one after the other, within five minutes."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from speckflex._support.text import one_line
from speckflex.boards.probe_file import Finding, ProbeFile
from speckflex.errors import BoardError
from speckflex.probing import _neurons, _order, _readout, _routes, _sensor, _session, _surface
from speckflex.probing.experiment import run_experiment
from speckflex.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from speckflex.boards.chip.bench import Bench
    from speckflex.probing.experiment import Experiment

__all__ = ["EXPERIMENTS", "probe"]

EXPERIMENTS: tuple[Experiment, ...] = (
    *_surface.EXPERIMENTS,
    *_order.EXPERIMENTS,
    *_neurons.EXPERIMENTS,
    *_routes.EXPERIMENTS,
    *_sensor.EXPERIMENTS,
    *_readout.EXPERIMENTS,
    *_session.EXPERIMENTS,
)
LONGEST = 280.0  # s after which no further experiment starts


def probe(
    bench: Bench,
    experiments: Sequence[Experiment] = EXPERIMENTS,
    *,
    progress: Callable[[Finding], None] = lambda _finding: None,
    longest: float = LONGEST,
) -> ProbeFile:
    """Run experiments on a board and return what they found.

    An experiment that fails does not stop the others; its finding says why.

    Args:
        bench: the opened board.
        experiments: in their order.
        progress: called with each finding.
        longest: s after which no further experiment starts.

    Raises:
        BoardError: the board was unplugged.
    """
    started, begun = datetime.now(timezone.utc).isoformat(timespec="seconds"), time.monotonic()
    board = bench.identity()
    findings: list[Finding] = []
    for experiment in experiments:
        if time.monotonic() - begun > longest:
            finding = _without(experiment, f"not run: {longest:g} s were over")
        elif experiment.is_timed and bench.is_instant:
            finding = _without(experiment, "not run: events take no time on this board")
        else:
            finding = _tried(experiment, bench)
        findings.append(finding)
        progress(finding)
    return ProbeFile(
        board=board,
        started=started,
        seconds=round(time.monotonic() - begun, 1),
        findings=tuple(findings),
        speckflex=__version__,
    )


def _tried(experiment: Experiment, bench: Bench) -> Finding:
    try:
        return run_experiment(experiment, bench)
    except BoardError as error:
        bench.link.check_attached()
        return _without(experiment, one_line(error))


def _without(experiment: Experiment, problem: str) -> Finding:
    return Finding(
        name=experiment.name,
        question=experiment.question,
        hypotheses=experiment.hypotheses,
        problem=problem,
    )
