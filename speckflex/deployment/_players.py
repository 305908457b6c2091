"""Play the same samples on several players, such as a chip, its twin and torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from speckflex.recordings.recording import concatenate_recordings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np

    from speckflex.data import EventDataset
    from speckflex.recordings.recording import Recording

    Play = Callable[..., Recording]

__all__ = ["Played", "Players", "play_dataset"]


@dataclass(frozen=True)
class Players:
    """The players by name: functions with the signature of a board's `play`.

    Args:
        in_batches: players that play a batch in one call.
        one_by_one: players that play one sample per call.
    """

    in_batches: dict[str, Play] = field(default_factory=dict)
    one_by_one: dict[str, Play] = field(default_factory=dict)

    def play(
        self, events: list[np.ndarray], *, keep_events: bool
    ) -> Iterator[dict[str, Recording]]:
        """Yield one recording per player, each time of samples that all players have played."""
        batch = {
            name: play(events, keep_events=keep_events) for name, play in self.in_batches.items()
        }
        if not self.one_by_one:
            yield batch
            return
        for index, sample in enumerate(events):
            alone = {
                name: play([sample], keep_events=keep_events)
                for name, play in self.one_by_one.items()
            }
            yield {name: whole.part(index, index + 1) for name, whole in batch.items()} | alone


@dataclass
class Played:
    """What all players have played so far.

    Args:
        parts: one recording per player, each part of some samples.
        events: input events of the samples whose spikes are kept.
        interrupted: whether the user stopped the playing before the last sample.
    """

    parts: list[dict[str, Recording]] = field(default_factory=list)
    events: list[np.ndarray] = field(default_factory=list)
    interrupted: bool = False

    @property
    def first_events(self) -> list[np.ndarray]:
        """The input events of the first samples that were played."""
        return self.events[: sum(map(_n_samples, self.parts))]

    def recordings(self, labels: np.ndarray) -> dict[str, Recording]:
        """Return one recording per player, with labels.

        Args:
            labels: labels of the whole data set, played or not.
        """
        whole = {
            name: concatenate_recordings([part[name] for part in self.parts])
            for name in self.parts[0]
        }
        return {name: one.with_labels(labels[: one.n_samples]) for name, one in whole.items()}


def play_dataset(
    players: Players,
    dataset: EventDataset,
    *,
    batch: int,
    events_of: int,
    progress: Callable[[int], None],
) -> Played:
    """Play a data set on all players, up to its end or a keyboard interrupt.

    Args:
        players: the players.
        dataset: the recordings; not empty.
        batch: number of samples that one player plays before the next player plays them.
        events_of: number of first samples that keep their spikes, rounded up to whole batches.
        progress: called with the number of samples that all players have just played.

    Raises:
        KeyboardInterrupt: no sample was played before the interrupt.
    """
    played = Played()
    try:
        for start in range(0, len(dataset), batch):
            events = [events for events, _ in dataset[start : start + batch]]
            keeps = len(played.events) < events_of
            played.events.extend(events if keeps else ())
            for part in players.play(events, keep_events=keeps):
                played.parts.append(part)
                progress(_n_samples(part))
    except KeyboardInterrupt:
        if not played.parts:
            raise
        played.interrupted = True
    return played


def _n_samples(part: dict[str, Recording]) -> int:
    return next(iter(part.values())).n_samples
