"""SDT, NMT and MTT: three ways to gather the gradient of one optimiser step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["STEPS", "Outcome", "Pass", "StepPlan", "Timesteps", "mtt_step", "nmt_step", "sdt_step"]

Timesteps = tuple[int, ...]  # one number of time steps per stage


class Outcome(NamedTuple):
    """What one pass measured.

    Args:
        loss: summed over the recordings of the batch.
        correct: recordings whose class scored highest.
    """

    loss: float
    correct: float


# Forward, loss and backward at the given time steps; the graph is released before it returns.
# The second argument says whether this is the step's last pass (gradients are exchanged then).
Pass = Callable[[Timesteps, bool], Outcome]


@dataclass(frozen=True)
class StepPlan:
    """Which time steps the passes of an optimiser step run at.

    Args:
        n_stages: stages of the network.
        t_max: the largest number of time steps.
        samples: drawn configurations per optimiser step.
        draw_uniform: returns one number of time steps for all stages.
        draw_mixed: returns a number of time steps for each stage.
    """

    n_stages: int
    t_max: int
    samples: int
    draw_uniform: Callable[[], Timesteps]
    draw_mixed: Callable[[], Timesteps]


def sdt_step(run: Pass, plan: StepPlan) -> Outcome:
    """Gather the gradient at T_max: standard direct training."""
    return _accumulate(run, [(plan.t_max,) * plan.n_stages])


def nmt_step(run: Pass, plan: StepPlan) -> Outcome:
    """Add up the gradients at drawn time steps, the same for all stages of a pass."""
    return _accumulate(run, [plan.draw_uniform() for _ in range(plan.samples)])


def mtt_step(run: Pass, plan: StepPlan) -> Outcome:
    """Add up the gradients at time steps that are drawn for each stage."""
    return _accumulate(run, [plan.draw_mixed() for _ in range(plan.samples)])


STEPS: dict[str, Callable[[Pass, StepPlan], Outcome]] = {
    "sdt": sdt_step,
    "nmt": nmt_step,
    "mtt": mtt_step,
}


def _accumulate(run: Pass, configurations: Sequence[Timesteps]) -> Outcome:
    """Run each configuration to its gradient and return the mean outcome."""
    last = len(configurations) - 1
    outcomes = [run(timesteps, index == last) for index, timesteps in enumerate(configurations)]
    losses, correct = zip(*outcomes, strict=True)
    return Outcome(sum(losses) / len(outcomes), sum(correct) / len(outcomes))
