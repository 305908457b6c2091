"""An experiment: a small program for a board, and what each hypothesis expects of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from speckflex.boards.probe_file import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from speckflex.boards.chip.bench import Bench

__all__ = ["Experiment", "run_experiment"]


@dataclass(frozen=True)
class Experiment:
    """One question to a board.

    Args:
        name: where the answers are values of a setting of the twin or of a virtual devkit, the
            name of that setting.
        question: what is asked, in a few words.
        observe: runs it and returns what came out, of plain JSON types.
        expected: what each hypothesis, by its answer, expects to come out, worked out by hand;
            {} for a measurement.
        is_timed: whether it measures times, so that it needs a board where events take time.
    """

    name: str
    question: str
    observe: Callable[[Bench], Any]
    expected: Mapping[str, Any] = field(default_factory=dict)
    is_timed: bool = False

    @property
    def hypotheses(self) -> tuple[str, ...]:
        """All answers."""
        return tuple(self.expected)

    def judge(self, observed: Any) -> str:
        """Return the answer that an observation gives; "" for none."""
        return next((answer for answer, seen in self.expected.items() if seen == observed), "")


def run_experiment(experiment: Experiment, bench: Bench) -> Finding:
    """Run one experiment.

    Raises:
        BoardError: the board refused what was asked of it, or did not answer.
    """
    observed = experiment.observe(bench)
    return Finding(
        name=experiment.name,
        question=experiment.question,
        answer=experiment.judge(observed),
        hypotheses=experiment.hypotheses,
        observed=observed,
    )
