"""The same samples on several players, such as a chip, its twin and torch, side by side."""

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
    """Who plays each sample, by name: functions that are called as a board's `play`.

    Args:
        in_batches: play a batch in one go.
        one_by_one: play one sample after the other, each in its own time.
    """

    in_batches: dict[str, Play] = field(default_factory=dict)
    one_by_one: dict[str, Play] = field(default_factory=dict)

    def play(
        self, events: list[np.ndarray], *, keep_events: bool
    ) -> Iterator[dict[str, Recording]]:
        """Yield one recording a player, of as many samples as all of them have played."""
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
        parts: some samples each, one recording a player.
        events: of the samples whose spikes are kept.
        interrupted: whether the user stopped it before the last sample.
    """

    parts: list[dict[str, Recording]] = field(default_factory=list)
    events: list[np.ndarray] = field(default_factory=list)
    interrupted: bool = False

    @property
    def first_events(self) -> list[np.ndarray]:
        """The events of the first samples, as far as they were played."""
        return self.events[: sum(map(_n_samples, self.parts))]

    def recordings(self, labels: np.ndarray) -> dict[str, Recording]:
        """Return one recording a player, with the labels of all samples that there were to play."""
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
        players: who plays.
        dataset: what is played; not empty.
        batch: samples that one player plays before the next one plays them.
        events_of: how many samples keep their spikes, rounded up to whole batches.
        progress: called with the number of samples that all players have just played.

    Raises:
        KeyboardInterrupt: no sample was played by then.
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
