"""What a real board may do to a stream of events on its way in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speckflex.errors import EventsError

__all__ = ["Perturbation", "perturb"]


@dataclass(frozen=True)
class Perturbation:
    """How one play may differ from the next.

    Args:
        simultaneous: put events with the same time in a random order.
        jitter: µs, standard deviation of the delay on the bus; events change places, their
            times stay in order.
        drop: share of the events that are lost, each alone.
        parallel_window: see `TwinSettings.parallel_window`; has an effect on layers that are
            placed on the chip's cores 0 and 1, on the twin alone.
    """

    simultaneous: bool = True
    jitter: float = 0.0
    drop: float = 0.0
    parallel_window: int = 1

    def __post_init__(self) -> None:
        if not (np.isfinite(self.jitter) and self.jitter >= 0 and 0 <= self.drop <= 1):
            raise EventsError(
                f"perturbation with jitter {self.jitter} µs and drop {self.drop}: give a jitter"
                " of 0 or more and a share of 0 to 1"
            )


def perturb(
    events: np.ndarray, perturbation: Perturbation, generator: np.random.Generator
) -> np.ndarray:
    """Return the events in another order, some of them lost.

    Args:
        events: `(n,)` structured array with the field t (µs).
        perturbation: how far they are changed.
        generator: the source of randomness.
    """
    if perturbation.drop:
        events = events[generator.random(len(events)) >= perturbation.drop]
    moments = events["t"].astype(np.float64)
    if perturbation.jitter:
        moments += generator.normal(0.0, perturbation.jitter, len(events))
    if perturbation.simultaneous:
        order = np.lexsort((generator.random(len(events)), moments))
    else:
        order = np.argsort(moments, kind="stable")
    changed = events[order]
    if perturbation.jitter:
        # the events change places, the board still replays them by a clock
        changed["t"] = np.sort(events["t"])
    return changed
