"""A warning about recordings whose times run backwards."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from speckflex.events.streams import find_late

if TYPE_CHECKING:
    import numpy as np

    from speckflex.data.dataset import EventDataset

__all__ = ["OrderWatch"]


class _Late(NamedTuple):
    """The late events of a recording: their number, the number of all, the first one's index."""

    n_late: int
    n_events: int
    first: int


@dataclass
class OrderWatch:
    """Notes late events while recordings are read; each recording counts once."""

    _found: dict[Any, _Late] = field(default_factory=dict)

    def over(self, dataset: EventDataset) -> EventDataset:
        """Return the same data set, whose recordings are checked when they are read."""

        def read(item: Any) -> np.ndarray:
            events = dataset.read(item)
            late = find_late(events)
            if late.size:
                self._found[item] = _Late(late.size, len(events), int(late[0]))
            return events

        return replace(dataset, read=read)

    @property
    def warnings(self) -> list[str]:
        """One sentence about the recordings read so far; none if no time runs backwards."""
        if not self._found:
            return []
        item, late = next(iter(self._found.items()))
        n_others = len(self._found) - 1
        others = f"; the same in {n_others} more recording{'s'[: n_others > 1]}" if n_others else ""
        sentence = (
            f"{item}: {late.n_late} of {late.n_events} events have an earlier time than an event"
            f" before them, the first is event {late.first}{others}: boards play events in the"
            " order of the file and late ones without delay, so spike times and the load of cores"
            " are wrong: sort each recording by t"
        )
        return [sentence]
