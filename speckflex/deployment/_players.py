"""Play the same samples on several players, such as a chip, its twin and torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from speckflex.analysis.synops import measure_known_synops
from speckflex.deployment._output_readings import OutputReadings
from speckflex.deployment.progress import SAMPLES, Progress, watched
from speckflex.recordings.recording import concatenate_recordings
from speckflex.report.evidence import PlayedSample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from speckflex.analysis.synops import LayerSynops
    from speckflex.data import EventDataset
    from speckflex.deployment.progress import Watch
    from speckflex.program.program import Program
    from speckflex.recordings.recording import Recording

    Play = Callable[..., Recording]

COMPARED = ("torch", "twin", "chip")
MOST_OPENED = 40  # samples beyond the first ones whose spikes are kept because answers differ

__all__ = ["Played", "Players", "play_dataset"]


@dataclass(frozen=True)
class Players:
    """The players by name: functions with the signature of a board's `play`.

    Args:
        in_batches: players that play a batch in one call.
        one_by_one: players that play one sample per call.
        in_steps: how many samples a player in batches takes at a time, where it gives the same
            spikes for any number; so its progress is seen.
        names: what progress calls a player, where that is not its key.
        reading: whether the output of each sample over time is taken in: see `OutputReadings`.
    """

    in_batches: dict[str, Play] = field(default_factory=dict)
    one_by_one: dict[str, Play] = field(default_factory=dict)
    in_steps: dict[str, int] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    reading: bool = False

    def watched(self, total: int, watch: Watch) -> Players:
        """Return the same players, which tell `watch` of each of their calls.

        Args:
            total: number of samples that each will play.
            watch: called with each step.
        """

        def tell(name: str, play: Play) -> Play:
            stage = self.names.get(name, name)
            return watched(play, stage, total, watch, most=self.in_steps.get(name))

        return replace(
            self,
            in_batches={name: tell(name, play) for name, play in self.in_batches.items()},
            one_by_one={name: tell(name, play) for name, play in self.one_by_one.items()},
        )

    def play(
        self, events: list[np.ndarray], *, keep: bool
    ) -> Iterator[tuple[list[np.ndarray], dict[str, Recording]]]:
        """Yield events and one recording per player, of samples that all players have played.

        Args:
            events: one array per sample.
            keep: whether all players keep their spikes, not their counts alone; the board keeps
                them in any case, so that its work can be measured, and so do all whose output
                is read over time.
        """
        spikes = {_board_of({**self.in_batches, **self.one_by_one})}
        if self.reading:
            spikes |= set(COMPARED)
        batch = {
            name: play(events, keep_events=keep or name in spikes)
            for name, play in self.in_batches.items()
        }
        if not self.one_by_one:
            yield events, batch
            return
        for index, sample in enumerate(events):
            alone = {
                name: play([sample], keep_events=keep or name in spikes)
                for name, play in self.one_by_one.items()
            }
            parts = {name: whole.part(index, index + 1) for name, whole in batch.items()}
            yield [sample], parts | alone

    def with_spikes(
        self, events: list[np.ndarray], part: dict[str, Recording], index: int
    ) -> dict[str, Recording]:
        """Return the recordings of one sample with its spikes, by role.

        A player that kept counts only repeats itself, so it plays the sample again.
        """
        found = {}
        for role in [role for role in COMPARED if role in part]:
            own = part[role].part(index, index + 1)
            if all(record.events is None for record in own.layers):
                own = self.in_batches[role]([events[index]], keep_events=True)
            found[role] = own
        return found


@dataclass
class Played:
    """What all players have played so far.

    Args:
        parts: one recording per player, each part of some samples.
        events: input events of the samples whose spikes are kept.
        synops: the synaptic operations of each part, one entry per core.
        opened: samples whose answers differ, by their position, of parts whose spikes are not
            kept.
        readings: the output of all samples over time, where it is asked for.
        interrupted: whether the user stopped the playing before the last sample.
    """

    parts: list[dict[str, Recording]] = field(default_factory=list)
    events: list[np.ndarray] = field(default_factory=list)
    synops: list[tuple[LayerSynops, ...]] = field(default_factory=list)
    opened: dict[int, PlayedSample] = field(default_factory=dict)
    readings: OutputReadings = field(default_factory=OutputReadings)
    interrupted: bool = False

    def add(
        self,
        players: Players,
        events: list[np.ndarray],
        part: dict[str, Recording],
        program: Program,
        *,
        keep: bool,
    ) -> None:
        """Take in a part that all have played: measure its work, and drop spikes not to be kept."""
        synops = measure_known_synops(program, part[_board_of(part)], events)
        if players.reading:
            self.readings.add(events, part, program)
        if not keep:
            start = sum(map(_n_samples, self.parts))
            for index in _differing(part)[: MOST_OPENED - len(self.opened)]:
                whole = players.with_spikes(events, part, index)
                self.opened[start + index] = PlayedSample(events[index], whole)
        kept = part if keep else {name: one.without_events() for name, one in part.items()}
        self.synops.append(synops)
        self.parts.append(kept)
        self.events.extend(events if keep else ())

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
    program: Program,
    *,
    batch: int,
    events_of: int,
    watch: Watch,
) -> Played:
    """Play a data set on all players, up to its end or a keyboard interrupt.

    Args:
        players: the players; the one of the board, "chip" or else "twin", is measured.
        dataset: the recordings; not empty.
        program: what the board plays.
        batch: number of samples that one player plays before the next player plays them.
        events_of: number of first samples that keep their spikes, rounded up to whole batches.
        watch: called with each step; the stage "samples" counts those that all players have
            played.

    Raises:
        KeyboardInterrupt: no sample was played before the interrupt.
    """
    played, done, total = Played(), 0, len(dataset)
    telling = players.watched(total, watch)
    try:
        for start in range(0, total, batch):
            watch(Progress("reading recordings", start, total))
            events = [events for events, _ in dataset[start : start + batch]]
            watch(Progress("reading recordings", start + len(events), total))
            keep = start < events_of
            for streams, part in telling.play(events, keep=keep):
                played.add(players, streams, part, program, keep=keep)
                done += _n_samples(part)
                watch(Progress(SAMPLES, done, total))
    except KeyboardInterrupt:
        if not played.parts:
            raise
        played.interrupted = True
    return played


def _differing(part: dict[str, Recording]) -> list[int]:
    """Return the samples of a part to which not all give the same answer."""
    answers = np.array([part[role].answers() for role in COMPARED if role in part])
    if len(answers) < 2:
        return []
    return np.flatnonzero((answers != answers[0]).any(axis=0) | (answers[0] < 0)).tolist()


def _board_of(players: Mapping[str, object]) -> str:
    """Return the name of the board among the players."""
    return "chip" if "chip" in players else "twin"


def _n_samples(part: dict[str, Recording]) -> int:
    return next(iter(part.values())).n_samples
