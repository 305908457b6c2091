"""Play the same samples on several players, such as a chip, its twin and torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from speckflex.analysis.synops import add_synops, measure_known_synops
from speckflex.deployment._output_readings import OutputReadings, add_readings
from speckflex.deployment.progress import SAMPLES, Progress, watched
from speckflex.events.streams import hash_events
from speckflex.recordings.compare import add_compared
from speckflex.recordings.recording import concatenate_recordings
from speckflex.recordings.tally import add_tallies, tally_of
from speckflex.report.evidence import PlayedSample, compare_pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from speckflex.analysis.synops import LayerSynops
    from speckflex.data import EventDataset
    from speckflex.deployment.progress import Watch
    from speckflex.program.program import Program
    from speckflex.recordings.compare import ComparedPart
    from speckflex.recordings.recording import Recording
    from speckflex.recordings.tally import Tally

    Play = Callable[..., Recording]

AT_RATE = "at rate"  # the player of a twin whose cores take their time
COMPARED = ("torch", "twin", "chip")
MOST_OPENED = 40  # samples beyond the first ones whose spikes are kept because answers differ
MOST_PARTS = 32  # that wait to be added up
COUNTS_BYTES = 2**27  # of the counts of the first samples, over all players

__all__ = [
    "AT_RATE",
    "MOST_OPENED",
    "Collected",
    "Kept",
    "Played",
    "Players",
    "add_played",
    "play_share",
]


@dataclass(frozen=True)
class Players:
    """The players by name: functions with the signature of a board's `play`.

    Args:
        program: what the board plays.
        in_batches: players that play a batch in one call.
        one_by_one: players that play one sample per call.
        in_steps: how many samples a player in batches takes at a time, where it gives the same
            spikes for any number; so its progress is seen.
        names: what progress calls a player, where that is not its key.
        reading: whether the output of each sample over time is taken in: see `OutputReadings`.
    """

    program: Program
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
        self, events: list[np.ndarray], part: Mapping[str, Recording], index: int
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


@dataclass(frozen=True, eq=False)
class Played:
    """What all players have played, in sums: as large for a million samples as for a hundred.

    A row of a few numbers is kept for each sample, and some samples as a whole.

    Args:
        tallies: all samples, by player.
        compared: how far the layers differ, by the pairs that a report is about.
        first: recordings of the first samples by player, in parts.
        events: input events of the samples whose spikes are kept.
        synops: the synaptic operations, one entry per core.
        opened: samples whose answers differ, by their position, beyond those whose spikes are
            all kept.
        readings: the output of all samples over time, where it is asked for.
        inputs: (sample, 32) uint8, `hash_events` of the input of each.
    """

    tallies: Mapping[str, Tally]
    compared: Mapping[tuple[str, str], ComparedPart]
    first: tuple[Mapping[str, Recording], ...]
    events: tuple[np.ndarray, ...]
    synops: tuple[LayerSynops, ...]
    opened: Mapping[int, PlayedSample]
    readings: OutputReadings
    inputs: np.ndarray

    @property
    def n_samples(self) -> int:
        """How many samples all players have played."""
        return next(iter(self.tallies.values())).n_samples

    def recordings(self) -> dict[str, Recording]:
        """Return the recording of the first samples of each player."""
        return {
            name: concatenate_recordings([part[name] for part in self.first])
            for name in self.first[0]
        }


def add_played(parts: Sequence[Played]) -> Played:
    """Return what was played in parts, in order, as if it had been played at once.

    Args:
        parts: at least one; all of the same program on the same players.
    """
    starts = np.cumsum([0, *(part.n_samples for part in parts)]).tolist()
    opened = {
        start + index: sample
        for start, part in zip(starts, parts, strict=False)
        for index, sample in part.opened.items()
    }
    head = parts[0]
    return Played(
        tallies={
            name: add_tallies([part.tallies[name] for part in parts]) for name in head.tallies
        },
        compared={
            pair: add_compared([part.compared[pair] for part in parts]) for pair in head.compared
        },
        first=_not_empty([one for part in parts for one in part.first]),
        events=tuple(events for part in parts for events in part.events),
        synops=add_synops([part.synops for part in parts]),
        opened={index: opened[index] for index in sorted(opened)[:MOST_OPENED]},
        readings=add_readings([part.readings for part in parts]),
        inputs=np.concatenate([part.inputs for part in parts]),
    )


def _not_empty(first: Sequence[Mapping[str, Recording]]) -> tuple[Mapping[str, Recording], ...]:
    """Return the recordings that hold samples; one without any if none does."""
    return tuple(one for one in first if _n_samples(one)) or tuple(first[:1])


class Collected:
    """Adds up parts as they come.

    Args:
        parts: what was played before.
    """

    def __init__(self, parts: Sequence[Played] = ()) -> None:
        self._parts = list(parts)

    def add(self, part: Played) -> None:
        """Take in what was played next."""
        self._parts.append(part)
        if len(self._parts) >= MOST_PARTS:
            self._parts = [add_played(self._parts)]

    @property
    def whole(self) -> Played | None:
        """All of it; None if there is nothing yet."""
        self._parts = [add_played(self._parts)] if self._parts else []
        return self._parts[0] if self._parts else None

    @property
    def room(self) -> int:
        """How many more samples may be opened."""
        return MOST_OPENED - sum(len(part.opened) for part in self._parts)


@dataclass(frozen=True)
class Kept:
    """In which batches samples are played, and what is kept of them beside sums and rows.

    Args:
        batch: number of samples that one player plays before the next player plays them.
        spikes: number of first samples of the data set that keep their spikes.
        counts: number of first samples that keep the counts of every neuron; None for as many as
            fit into `COUNTS_BYTES`, and at least those that keep their spikes.
    """

    batch: int
    spikes: int
    counts: int | None

    def batches(self, share: range) -> Iterator[tuple[int, int]]:
        """Yield start and stop of each batch; none has both samples that keep spikes and others."""
        start = share.start
        while start < share.stop:
            stop = min(start + self.batch, share.stop)
            stop = min(stop, self.spikes) if start < self.spikes else stop
            yield start, stop
            start = stop

    def n_counts(self, part: Mapping[str, Recording]) -> int:
        """Return the number of first samples that keep counts, from the size of a part."""
        if self.counts is not None:
            return max(self.counts, self.spikes)
        arrays = (
            array
            for recording in part.values()
            for record in recording.layers
            for array in (record.counts, record.potentials)
            if array is not None
        )
        size = sum(array.nbytes for array in arrays) // max(1, _n_samples(part))
        return max(COUNTS_BYTES // max(1, size), self.spikes)


def play_share(
    players: Players,
    dataset: EventDataset,
    share: range,
    kept: Kept,
    collected: Collected,
    watch: Watch,
) -> Iterator[int]:
    """Play some recordings on all players; yield how many were played after each part.

    Args:
        players: the players; the one of the board, "chip" or else "twin", is measured.
        dataset: all recordings; not empty.
        share: positions of the recordings to play.
        kept: in which batches they are played, and what is kept of the first ones.
        collected: takes what was played.
        watch: called with each step; the stage "samples" counts those that all players have
            played.
    """
    done, total = 0, len(share)
    telling = players.watched(total, watch)
    for start, stop in kept.batches(share):
        watch(Progress("reading recordings", start - share.start, total))
        events = [events for events, _ in dataset[start:stop]]
        watch(Progress("reading recordings", stop - share.start, total))
        keep = start < kept.spikes
        for streams, part in telling.play(events, keep=keep):
            first = share.start + done
            labels = dataset.labels[first : first + len(streams)]
            labelled = {name: one.with_labels(labels) for name, one in part.items()}
            n_counts = kept.n_counts(part) - first
            room = None if keep else collected.room
            collected.add(_played(players, streams, labelled, n_counts, room=room))
            done += len(streams)
            watch(Progress(SAMPLES, done, total))
            yield done


def _played(
    players: Players,
    events: list[np.ndarray],
    part: Mapping[str, Recording],
    n_counts: int,
    *,
    room: int | None,
) -> Played:
    """Return what a part adds: measure its work, and drop what is not to be kept.

    Args:
        players: play again a sample that is to be opened.
        events: one array per sample.
        part: the recordings of these samples, by player.
        n_counts: how many of the samples keep their counts; may be negative.
        room: how many samples may be opened; None if all keep their spikes.
    """
    synops = measure_known_synops(players.program, part[_board_of(part)], events)
    opened = {
        index: PlayedSample(events[index], players.with_spikes(events, part, index))
        for index in (_differing(part)[:room] if room else ())
    }
    readings = OutputReadings()
    if players.reading:
        readings.add(events, part, players.program)
    kept = part
    if room is not None:
        kept = {name: one.without_events() for name, one in part.items()}
    n_first = max(0, min(n_counts, len(events)))
    return Played(
        tallies={name: tally_of(one) for name, one in kept.items()},
        compared=compare_pairs({name: one for name, one in kept.items() if name != AT_RATE}),
        first=({name: one.part(0, n_first) for name, one in kept.items()},),
        events=tuple(events) if room is None else (),
        synops=synops,
        opened=opened,
        readings=readings,
        inputs=np.array([[*bytes.fromhex(hash_events(one))] for one in events], np.uint8),
    )


def _differing(part: Mapping[str, Recording]) -> list[int]:
    """Return the samples of a part to which not all give the same answer."""
    answers = np.array([part[role].answers() for role in COMPARED if role in part])
    if len(answers) < 2:
        return []
    return np.flatnonzero((answers != answers[0]).any(axis=0) | (answers[0] < 0)).tolist()


def _board_of(players: Mapping[str, object]) -> str:
    """Return the name of the board among the players."""
    return "chip" if "chip" in players else "twin"


def _n_samples(part: Mapping[str, Recording]) -> int:
    return next(iter(part.values())).n_samples
