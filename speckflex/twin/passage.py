"""How spikes pass through the cores of a machine: there are several ways, for one result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.twin.cores import RunningCore
    from speckflex.twin.kept_spikes import KeptSpikes
    from speckflex.twin.queues import Queue
    from speckflex.twin.service import CoreLoad

__all__ = ["Passage", "PassageModel"]


class PassageModel(Protocol):
    """What never changes of a way through the cores; shared by all threads.

    Attributes:
        chunk_size: input events that go through all cores before the next ones are looked at:
            bounds the time until an interrupt is noticed.
    """

    chunk_size: int

    def start(self, cores: Sequence[RunningCore]) -> Passage:
        """Return a way through the cores of one machine."""
        ...


class Passage(Protocol):
    """A way through the cores of one machine."""

    def begin_sample(self, kept: KeptSpikes) -> None:
        """Begin a sample, where nothing waits; `kept` takes the spikes that are kept."""
        ...

    def play(self, events: Queue) -> None:
        """Let events of the input through all cores."""
        ...

    def send(self, index: int, spikes: Queue) -> None:
        """Let spikes that no event made leave a core, and through all cores behind it."""
        ...

    def loads(self) -> tuple[CoreLoad, ...]:
        """Return how busy each core was in this sample; empty without a rate of work."""
        ...
