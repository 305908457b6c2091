"""Which neurons were asked for their potential, which answered, and what is known to be lost."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Place", "Questions"]

Place = tuple[int, int]  # the chip's core, the neuron's address


class Questions:
    """An account of questions and answers, which may come in any order.

    Args:
        places: the neurons that were asked, each once.

    Attributes:
        values: the latest potential by neuron.
        outstanding: how many answers are still to come.
        stray: answers beyond the questions: doubled, or to an earlier question.
    """

    def __init__(self, places: Sequence[Place]) -> None:
        self.values: dict[Place, int] = {}
        self._places = list(places)
        self._due = Counter(self._places)
        self.outstanding = len(self._places)
        self.stray = 0

    @property
    def n_places(self) -> int:
        """How many neurons were asked."""
        return len(self._places)

    def missing(self) -> list[Place]:
        """Return the neurons that have not answered at all."""
        return [place for place in self._places if place not in self.values]

    def hear(self, answers: Iterable[tuple[Place, int]]) -> None:
        """Take in answers, also those that nobody waits for."""
        for place, value in answers:
            if self._due[place] > 0:
                self._due[place] -= 1
                self.outstanding -= 1
                self.values[place] = value
            else:
                self.stray += 1

    def forgive(self, places: Sequence[Place]) -> None:
        """Expect no answer any more to what neurons were asked so far."""
        for place in places:
            self.outstanding -= self._due.pop(place, 0)

    def repeat(self, places: Sequence[Place]) -> None:
        """Note that neurons were asked once more."""
        self._due.update(places)
        self.outstanding += len(places)
