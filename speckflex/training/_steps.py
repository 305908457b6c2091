"""The passes of one optimiser step: at which time steps each runs, and what they add up to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from speckflex.training.mixed.samplers import SAMPLERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from speckflex.training.settings import TrainingSettings

__all__ = ["Outcome", "Pass", "Timesteps", "draw_timesteps", "run_passes"]

Timesteps = tuple[int, ...]  # one number of time steps for each stage


class Outcome(NamedTuple):
    """The measurements of one pass.

    Args:
        loss: summed over the recordings of the batch.
        correct: number of recordings whose class scored highest.
    """

    loss: float
    correct: float


# Forward, loss and backward at the given time steps; the graph is released before it returns.
# The second argument says whether this is the step's last pass (gradients are exchanged then).
Pass = Callable[[Timesteps, bool], Outcome]


def draw_timesteps(
    settings: TrainingSettings, n_stages: int, generator: torch.Generator
) -> list[Timesteps]:
    """Return the time steps of each pass of one optimiser step.

    SDT and MT-SNN have one pass, at T_max; NMT draws one number for all stages of a pass, MTT and
    the law one for each.

    Args:
        settings: the choices of the training.
        n_stages: number of stages of the network.
        generator: draws the time steps.
    """
    own = {"sdt": "fixed", "mtsnn": "fixed", "nmt": "same"}
    kind = own.get(settings.method, settings.drawing)
    if kind == "fixed":
        return [(settings.t_max,) * n_stages]
    sampler = SAMPLERS[kind](n_stages, settings.t_max)
    return [sampler(generator) for _ in range(settings.samples_per_step)]


def run_passes(run: Pass, timesteps: Sequence[Timesteps]) -> Outcome:
    """Add up the gradients of one pass for each entry of `timesteps`; return the mean outcome."""
    last = len(timesteps) - 1
    outcomes = [run(each, index == last) for index, each in enumerate(timesteps)]
    losses, correct = zip(*outcomes, strict=True)
    return Outcome(sum(losses) / len(outcomes), sum(correct) / len(outcomes))
