"""Random temporal configurations: the number of time steps of each stage (MTT, Algorithm 1)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch

from speckflex.errors import TrainingError
from speckflex.training.mixed.timesteps import check_count

__all__ = [
    "SAMPLERS",
    "FixedFirstSampler",
    "NonIncreasingSampler",
    "SameSampler",
    "TimestepSampler",
    "UniformSampler",
]


@dataclass(frozen=True)
class TimestepSampler(ABC):
    """Draw `(t_1, .., t_G)`, each in `t_min .. t_max`, from the generator in the call.

    Args:
        n_stages: G, the number of stages.
        t_max: the largest number of time steps of a stage.
        t_min: the smallest number of time steps of a stage; 1 everywhere in the paper.

    Raises:
        TrainingError: a count is below 1, or `t_max` is below `t_min`.
    """

    n_stages: int
    t_max: int
    t_min: int = 1

    def __post_init__(self) -> None:
        check_count(self.n_stages, "number of stages")
        check_count(self.t_min, "t_min")
        if check_count(self.t_max, "t_max") < self.t_min:
            raise TrainingError(
                f"t_max {self.t_max} is below t_min {self.t_min}: give a t_max of at least"
                f" {self.t_min}"
            )

    @abstractmethod
    def __call__(self, generator: torch.Generator) -> tuple[int, ...]:
        """Return one temporal configuration, `n_stages` counts."""

    def _draw(self, n: int, generator: torch.Generator) -> tuple[int, ...]:
        drawn = torch.randint(self.t_min, self.t_max + 1, (n,), generator=generator)
        return tuple(drawn.tolist())


class UniformSampler(TimestepSampler):
    """Draw the time steps of every stage independently: MTT as in Algorithm 1."""

    def __call__(self, generator: torch.Generator) -> tuple[int, ...]:
        """Return one temporal configuration, `n_stages` counts."""
        return self._draw(self.n_stages, generator)


class FixedFirstSampler(TimestepSampler):
    """Keep the first stage at `t_max`, the number of frames of the data, and draw the others."""

    def __call__(self, generator: torch.Generator) -> tuple[int, ...]:
        """Return one temporal configuration, `n_stages` counts."""
        return (self.t_max, *self._draw(self.n_stages - 1, generator))


class SameSampler(TimestepSampler):
    """Draw one number of time steps for all stages: naive mixture training, NMT (4.1)."""

    def __call__(self, generator: torch.Generator) -> tuple[int, ...]:
        """Return one temporal configuration, `n_stages` counts."""
        return self._draw(1, generator) * self.n_stages


class NonIncreasingSampler(TimestepSampler):
    """Start at `t_max` in the first stage and never grow: time encoders (A.12).

    Every such configuration is equally likely.
    """

    def __call__(self, generator: torch.Generator) -> tuple[int, ...]:
        """Return one temporal configuration, `n_stages` counts."""
        n_free = self.n_stages - 1
        # Stars and bars: a sorted choice without repetition from a range longer by n - 1,
        # less 0, 1, 2, .., is a sorted choice with repetition, each as likely as any other.
        places = torch.randperm(self.t_max - self.t_min + n_free, generator=generator)[:n_free]
        ascending = places.sort().values - torch.arange(n_free) + self.t_min
        return (self.t_max, *reversed(ascending.tolist()))


SAMPLERS: dict[str, type[TimestepSampler]] = {
    "uniform": UniformSampler,
    "fixed-first": FixedFirstSampler,
    "same": SameSampler,
    "non-increasing": NonIncreasingSampler,
}
