"""What may differ from play to play: the order of output, times, and lost events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from speckflex.errors import TrainingError
from speckflex.twin.output_order import ORDERS

if TYPE_CHECKING:
    import numpy as np

__all__ = ["VARIATIONS", "Variation"]

# What each variation does where no strength is given: µs, and a share.
VARIATIONS = {"order": 1.0, "jitter": 100.0, "drop": 0.1}
LONGEST_JITTER = 1e9  # µs; times that are far longer do not fit their numbers


@dataclass(frozen=True)
class Variation:
    """How the plays of a training differ from each other.

    Args:
        order: draw the twin's order of output anew for each step.
        jitter: µs, standard deviation of the delay of an input event.
        drop: largest share of the input events that is lost; each play draws its own share.
    """

    order: bool = False
    jitter: float = 0.0
    drop: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Variation:
        """Return the variations of a list such as "order,jitter=200,drop".

        Raises:
            TrainingError: a name is not known, or a strength is out of range.
        """
        found: dict[str, float] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, _, value = part.partition("=")
            if name not in VARIATIONS or (name == "order" and value):
                raise TrainingError(
                    f"variation {part!r} is not known: choose among order, jitter[=MICROSECONDS]"
                    " and drop[=SHARE], with commas between them"
                )
            found[name] = _strength(name, value)
        return cls(**{**found, "order": "order" in found})

    def draw_order(self, generator: np.random.Generator) -> str | None:
        """Return the order of output of one step; None to leave it."""
        return ORDERS[generator.integers(len(ORDERS))] if self.order else None

    def change(self, events: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Return the input events of one play.

        Args:
            events: event array.
            generator: draws delays and losses.
        """
        # Not at the top: the settings of a training are checked without numpy.
        from speckflex.events.perturbation import Perturbation, perturb

        if not (self.jitter or self.drop):
            return events
        share = generator.uniform(0, self.drop)
        perturbation = Perturbation(simultaneous=False, jitter=self.jitter, drop=share)
        return perturb(events, perturbation, generator)


def _strength(name: str, value: str) -> float:
    try:
        strength = float(value) if value else VARIATIONS[name]
    except ValueError:
        strength = -1.0
    most = 1.0 if name == "drop" else LONGEST_JITTER
    if not 0 < strength < most:
        rule = (
            "a share above 0 and below 1" if name == "drop" else "a time above 0 and below 1e9 µs"
        )
        raise TrainingError(f"variation {name}={value}: give {rule}, or the name alone")
    return strength
