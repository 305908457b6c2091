"""A warning about recordings whose times run backwards."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from speckflex.events.streams import find_late

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from speckflex.data.dataset import EventDataset

__all__ = ["LateEvents", "OrderWatch", "add_late"]


@dataclass(frozen=True)
class LateEvents:
    """Events with an earlier time than an event before them.

    Args:
        recording: the first recording that has some.
        n_late: number of its late events.
        n_events: number of all its events.
        first: index of its first late event.
        recordings: number of recordings that have some.
    """

    recording: str
    n_late: int
    n_events: int
    first: int
    recordings: int = 1

    @property
    def sentence(self) -> str:
        """What is wrong, what follows, and what to do."""
        n_others = self.recordings - 1
        others = f"; the same in {n_others} more recording{'s'[: n_others > 1]}" if n_others else ""
        return (
            f"{self.recording}: {self.n_late} of {self.n_events} events have an earlier time than"
            f" an event before them, the first is event {self.first}{others}: boards play events in"
            " the order of the file and late ones without delay, so spike times and the load of"
            " cores are wrong: sort each recording by t"
        )


def add_late(parts: Sequence[LateEvents | None]) -> LateEvents | None:
    """Return what was found in parts of a data set, in order, as of the whole."""
    found = [part for part in parts if part is not None]
    if not found:
        return None
    return replace(found[0], recordings=sum(part.recordings for part in found))


@dataclass
class OrderWatch:
    """Notes late events while recordings are read; each recording counts once."""

    _first: LateEvents | None = None
    _late: set[Any] = field(default_factory=set)

    def over(self, dataset: EventDataset) -> EventDataset:
        """Return the same data set, whose recordings are checked when they are read."""

        def read(item: Any) -> np.ndarray:
            events = dataset.read(item)
            late = find_late(events)
            if late.size:
                self._late.add(item)
                if self._first is None:
                    self._first = LateEvents(str(item), late.size, len(events), int(late[0]))
            return events

        return replace(dataset, read=read)

    @property
    def late(self) -> LateEvents | None:
        """What was found in the recordings read so far; None if no time runs backwards."""
        return self._first and replace(self._first, recordings=len(self._late))

    @property
    def warnings(self) -> list[str]:
        """One sentence about the recordings read so far; none if no time runs backwards."""
        return [] if self.late is None else [self.late.sentence]
