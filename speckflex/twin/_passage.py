"""How spikes pass through the cores of a machine: several ways with the same result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from speckflex.twin._queues import Queue
    from speckflex.twin.cores import RunningCore
    from speckflex.twin.outputs import CoreLoad, KeptSpikes

__all__ = ["EVENTS_PER_CHUNK", "Passage", "PassageModel"]

EVENTS_PER_CHUNK = 8192


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


class Passage(ABC):
    """A way through the cores of one machine."""

    def __init__(self, cores: Sequence[RunningCore]) -> None:
        self._cores = cores

    def begin_sample(self, sample: int, kept: KeptSpikes, stopped: Callable[[], bool]) -> None:
        """Begin a sample, where nothing waits.

        Args:
            sample: its place among the samples, which seeds what is random.
            kept: takes the spikes that are kept.
            stopped: asked now and then whether to give the sample up.
        """
        del sample  # most ways have nothing random
        self._kept, self._stopped = kept, stopped

    def send(self, index: int, spikes: Queue) -> None:
        """Let spikes that no event made leave a core, and through all cores behind it."""
        emission = self._cores[index].send(spikes)
        self._kept.add(index, emission.monitored)
        self.follow(index, emission.sent)

    def loads(self) -> tuple[CoreLoad, ...]:
        """Return how busy each core was in this sample; empty without a rate of work."""
        return ()

    @abstractmethod
    def follow(self, source: int, queue: Queue) -> None:
        """Run what a source sends through all cores behind it.

        Args:
            source: a core's position; the input's is behind that of the last core.
            queue: spikes of the core, or events of the input.
        """
