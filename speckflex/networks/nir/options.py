"""What a NIR graph leaves open, and its user has to say."""

from __future__ import annotations

import math
from dataclasses import dataclass

from speckflex.errors import NetworkError

__all__ = ["LOWER_BOUND", "NirOptions"]

# The metadata of a neuron node in which speckflex writes the bound, as NIR has no field for it.
LOWER_BOUND = "lower_bound"


@dataclass(frozen=True)
class NirOptions:
    """What a NIR graph leaves open.

    Args:
        dt: time step of the simulation that the graph was made for, in the graph's unit of time
            (mostly seconds): a neuron's input counts `r * dt` times. None for a graph that
            counts in time steps, with `r` = 1.
        lower_bound: of the potential, in the graph's units, at most 0, minus infinity for none;
            None for minus the threshold, as sinabs reads NIR. Where speckflex wrote the graph,
            the graph says it.
    """

    dt: float | None = None
    lower_bound: float | None = None

    def __post_init__(self) -> None:
        if self.dt is not None and not 0 < self.dt < math.inf:
            raise NetworkError(f"dt {self.dt:g} is no time step: give a number above 0")
        if self.lower_bound is not None and not self.lower_bound <= 0:
            raise NetworkError(
                f"lower_bound {self.lower_bound:g} is above 0: give a number of at most 0"
            )
