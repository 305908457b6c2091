"""Recordings whose times run backwards: told once, and left as they are."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from speckflex.events.streams import find_late

if TYPE_CHECKING:
    import numpy as np

    from speckflex.data.dataset import EventDataset

__all__ = ["OrderWatch"]


class _Late(NamedTuple):
    """What one recording has of late events: how many of how many, and the first one's index."""

    n_late: int
    n_events: int
    first: int


@dataclass
class OrderWatch:
    """Takes note of late events while recordings are read; each recording counts once."""

    _found: dict[Any, _Late] = field(default_factory=dict)

    def over(self, dataset: EventDataset) -> EventDataset:
        """Return the data set under this watch; its recordings are the same."""

        def read(item: Any) -> np.ndarray:
            events = dataset.read(item)
            late = find_late(events)
            if late.size:
                self._found[item] = _Late(late.size, len(events), int(late[0]))
            return events

        return replace(dataset, read=read)

    @property
    def warnings(self) -> list[str]:
        """One sentence about the recordings read so far; none where times never run backwards."""
        if not self._found:
            return []
        item, late = next(iter(self._found.items()))
        n_others = len(self._found) - 1
        others = f", and so in {n_others} more recording{'s'[: n_others > 1]}" if n_others else ""
        sentence = (
            f"{item}: {late.n_late} of {late.n_events} events are earlier than one before them,"
            f" the first is event {late.first}{others}: boards play events as they stand and these"
            " at once, so that times of spikes and the load of cores mislead: sort each recording"
            " by its t"
        )
        return [sentence]
